"""The state of a peer's connection, and what to do about it: the words that pages show first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.models import MembershipState
from vpn.choices import InstanceState, KeyCustody, ProfileState, Reachability
from vpn.models import Peer
from vpn.needs import Code
from vpn.presenters.instances.hub_side import HubSide
from vpn.presenters.peers.end import is_unused, unused_words
from vpn.presenters.peers.push import push_words
from vpn.presenters.profiles.outdated import has_former_keys, outdated_words, remedy_of

_HUB_NOT_THERE: dict[InstanceState, tuple[str, Promise, Promise]] = {
    InstanceState.PENDING: (
        "waiting",
        gettext_lazy("Waiting for the hub"),
        gettext_lazy("The hub is about to be created."),
    ),
    InstanceState.PROVISIONING: (
        "waiting",
        gettext_lazy("Waiting for the hub"),
        gettext_lazy("The hub is being created. The profile can be fetched as soon as it is ready."),
    ),
    InstanceState.FAILED: (
        "bad",
        gettext_lazy("Hub not ready"),
        gettext_lazy("The hub could not be created, so nothing can connect to it yet."),
    ),
    InstanceState.DELETING: (
        "off",
        gettext_lazy("Hub being deleted"),
        gettext_lazy("The instance is being deleted, and its tunnels end with it."),
    ),
    InstanceState.LOST: (
        "bad",
        gettext_lazy("Hub lost"),
        gettext_lazy("The hub's server does not answer the portal, so perhaps nothing can connect to it."),
    ),
}


@dataclass(frozen=True)
class Condition:
    """The answer to "is it connected, and if not, what now?".

    `tone` is good, waiting, bad or off. `since` is a time that belongs to the word. If `steps` is true, the page lists
    the usual causes. If `is_known` is false, the peer may be connected all the same.
    """

    tone: str
    word: str
    advice: str = ""
    since: datetime | None = None
    steps: bool = False
    is_known: bool = True
    # True if `since` is when it was shut out, and not when it was last seen.
    is_end: bool = False

    @property
    def lasted(self) -> timedelta | None:
        """How long this condition has lasted."""
        return None if self.since is None else timezone.now() - self.since


def condition_of(peer: Peer, profile_state: str, *, may_change: bool, hub: HubSide | None = None) -> Condition:
    """The present condition; `may_change` says whether the reader can change what an admin set.

    Pass `hub` where many peers of one instance are shown, so that the hub's side is read once.
    """
    hub = hub or HubSide(peer.instance, for_admin=may_change)
    return _shut_out(peer, may_change=may_change) or _hub_away(hub) or _tunnel(peer, profile_state, hub)


def _shut_out(peer: Peer, *, may_change: bool) -> Condition | None:
    if not peer.enabled:
        if may_change:
            advice = _("The hub does not let it in. Enable it to let it connect again.")
        else:
            advice = _("The hub does not let it in. An admin can enable it again.")
        if peer.lost_at is not None:
            keys = _("Its keys ended, so it needs a new profile then.")
            if peer.hub_may_admit:
                waits = _("This waits for the hub: it has not confirmed yet that it does not let it in.")
                advice = f"{waits} {lost_hub_words(peer)}".strip()
            return Condition("bad", _("Reported as lost"), f"{advice} {keys}", peer.lost_at, is_end=True)
        return Condition("off", _("Disabled"), advice)
    if is_unused(peer):
        advice = _("Renew its key to let it connect again: its days are counted from then on.")
        return Condition(
            "off", _("Ended without use"), f"{unused_words(peer)} {advice}", peer.unused_until, is_end=True
        )
    if peer.expires_at is not None and peer.expires_at <= timezone.now():
        if may_change:
            advice = _("It has expired. Set a later expiry to let it connect again.")
        else:
            advice = _("It has expired. An admin can set a later expiry to let it connect again.")
        return Condition("off", _("Expired"), advice, peer.expires_at, is_end=True)
    member = peer.member
    if member is not None and (member.state == MembershipState.DEACTIVATED or not member.user.is_active):
        advice = _("%(member)s is deactivated, and so are all their devices.") % {"member": member.label}
        return Condition("off", _("Member deactivated"), advice)
    return None


def lost_hub_words(peer: Peer) -> str:
    """When a lost hub shuts a peer out; "" if its hub is not lost."""
    if peer.instance.state != InstanceState.LOST:
        return ""
    return _("Its server is lost, so the hub follows when it is back, or on another server.")


def _hub_away(hub: HubSide) -> Condition | None:
    found = _HUB_NOT_THERE.get(InstanceState(hub.instance.state))
    if found is None:
        return None
    tone, word, advice = found
    stuck = hub.notice_for(Code.PROVISIONING_STUCK, Code.PROVISIONING_FAILED, Code.LOST)
    return Condition("bad", str(word), stuck) if stuck else Condition(tone, str(word), str(advice))


def _tunnel(peer: Peer, profile_state: str, hub: HubSide) -> Condition:
    """What is known about the hub and the profile comes first; a fault of the device is only a guess."""
    seen = peer.seen
    if peer.is_connected:
        since = seen.connected_from or seen.last_handshake
        return Condition("good", _("Connected"), _connected_advice(peer, hub), since)
    if not peer.is_on_hub:
        return _not_on_hub(hub)
    if not peer.instance.seen.is_recent:
        return _not_known(hub)
    reachability = hub.reachability(peer)
    if reachability == Reachability.UNREACHABLE:
        advice = f"{_('The cause is not the device.')} {hub.notice_for(Code.HUB_UNREACHABLE)}".rstrip()
        return Condition("bad", _("Hub not reachable"), advice, since=seen.last_handshake)
    if profile_state == ProfileState.UNDELIVERED:
        return Condition("waiting", _("Profile not fetched yet"), _fetch_advice(peer))
    if profile_state == ProfileState.OUTDATED:
        what = outdated_words(peer) if has_former_keys(peer) else _("Its delivered profile is outdated.")
        advice = f"{what} {remedy_of(peer)}"
        return Condition("waiting", _("Not connected"), advice, since=seen.last_handshake)
    return _not_connected(seen.last_handshake, hub, is_proven=reachability != Reachability.UNPROVEN)


def _not_connected(last_handshake: datetime | None, hub: HubSide, *, is_proven: bool) -> Condition:
    advice = []
    if last_handshake is None:
        advice.append(_("The profile was fetched, but no device has connected with it yet."))
    if not is_proven:
        advice.append(_("The cause may be the hub, which has not been proven reachable from outside yet."))
        advice.append(hub.notice_for(Code.HUB_UNPROVEN))
    words = " ".join(filter(None, advice))
    if last_handshake is None:
        return Condition("waiting", _("Never connected"), words, steps=True)
    return Condition("off", _("Not connected"), words, since=last_handshake, steps=True)


def _connected_advice(peer: Peer, hub: HubSide) -> str:
    """What a connected peer lacks."""
    # Profiles of routers do not name the hub as DNS server.
    names = "" if peer.is_site else hub.notice_for(Code.RESOLVER_SILENT)
    return " ".join(part for part in (push_words(peer), names) if part)


def _not_on_hub(hub: HubSide) -> Condition:
    failure = hub.notice_for(Code.APPLY_FAILED, Code.APPLY_STUCK)
    if failure:
        return Condition("bad", _("Hub not up to date"), failure)
    return Condition("waiting", _("Going to the hub"), _("The hub learns of this peer within a few seconds."))


def _not_known(hub: HubSide) -> Condition:
    silent = hub.notice_for(Code.HUB_SILENT)
    since = hub.instance.seen.observed_at
    if silent:
        return Condition("bad", _("Not known"), silent, since=since, is_known=False)
    advice = _("The hub has not reported in the last seconds.")
    return Condition("waiting", _("Not known"), advice, since=since, is_known=False)


def _fetch_advice(peer: Peer) -> str:
    if peer.has_enrolled_router:
        return _("Its router has enrolled and fetches its configuration itself.")
    if peer.is_site:
        return _("Fetch the profile and import it on the site's router.")
    if peer.key_custody == KeyCustody.DEVICE:
        return _("Fetch the profile, add the device's own private key to it, and switch it on.")
    if peer.is_openvpn:
        return _("Show the profile, download it on the device, and switch it on.")
    return _("Show the profile, scan it or download it on the device, and switch it on.")
