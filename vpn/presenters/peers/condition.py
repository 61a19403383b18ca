"""How a peer's connection stands, and what to do about it: in the words that pages show first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from portal.models import MembershipState
from vpn.choices import InstanceState, KeyCustody, ProfileState, Reachability
from vpn.constants import OBSERVATION_MAX_AGE
from vpn.models import Instance, Peer
from vpn.needs import Code
from vpn.presenters.instances.hub_side import HubSide
from vpn.presenters.peers.push import push_words
from vpn.presenters.profiles.outdated import remedy_of

_HUB_NOT_THERE = {
    InstanceState.PENDING: ("waiting", "Waiting for the hub", "The hub is about to be created."),
    InstanceState.PROVISIONING: (
        "waiting",
        "Waiting for the hub",
        "The hub is being created. The profile can be fetched as soon as it is ready.",
    ),
    InstanceState.FAILED: ("bad", "Hub not ready", "The hub could not be created, so nothing can connect to it yet."),
    InstanceState.DELETING: ("off", "Hub being deleted", "The instance is being deleted, and its tunnels end with it."),
    InstanceState.LOST: ("bad", "Hub lost", "The hub's server is gone, so nothing can connect to it."),
}


@dataclass(frozen=True)
class Condition:
    """The answer to "is it connected, and if not, what now?".

    `tone` is good, waiting, bad or off; `since` a time that belongs to the word; `steps` is true where the reader
    should be led through what usually stands in the way; `is_known` is false where it may be connected as well.
    """

    tone: str
    word: str
    advice: str = ""
    since: datetime | None = None
    steps: bool = False
    is_known: bool = True

    @property
    def lasted(self) -> timedelta | None:
        """For how long it has been so."""
        return None if self.since is None else timezone.now() - self.since


def condition_of(peer: Peer, profile_state: str, *, may_change: bool, hub: HubSide | None = None) -> Condition:
    """How the peer's connection stands now; `may_change` says whether the reader can mend what an admin set.

    `hub` saves asking for the hub's side again where many peers of one instance are shown.
    """
    hub = hub or HubSide(peer.instance, for_admin=may_change)
    return _shut_out(peer, may_change=may_change) or _hub_away(hub) or _tunnel(peer, profile_state, hub)


def _shut_out(peer: Peer, *, may_change: bool) -> Condition | None:
    if not peer.enabled:
        remedy = "Enable it to let it connect again." if may_change else "An admin can enable it again."
        return Condition("off", "Disabled", f"The hub does not let it in. {remedy}")
    if peer.expires_at is not None and peer.expires_at <= timezone.now():
        remedy = "Set a later expiry" if may_change else "An admin can set a later expiry"
        return Condition("off", "Expired", f"Its time is over. {remedy} to let it connect again.", peer.expires_at)
    member = peer.member
    if member is not None and (member.state == MembershipState.DEACTIVATED or not member.user.is_active):
        return Condition("off", "Member deactivated", f"{member.label} is deactivated, and so are all their devices.")
    return None


def _hub_away(hub: HubSide) -> Condition | None:
    found = _HUB_NOT_THERE.get(InstanceState(hub.instance.state))
    if found is None:
        return None
    stuck = hub.told(Code.PROVISIONING_STUCK, Code.PROVISIONING_FAILED, Code.LOST)
    return Condition("bad", found[1], stuck) if stuck else Condition(*found)


def _tunnel(peer: Peer, profile_state: str, hub: HubSide) -> Condition:
    """What the portal knows of the hub and of the profile comes before what it can only guess of the device."""
    seen = peer.seen
    if peer.is_connected:
        return Condition("good", "Connected", _connected_advice(peer, hub), seen.connected_from or seen.last_handshake)
    if not peer.is_on_hub:
        return _not_on_hub(hub)
    if _unobserved(peer.instance):
        return _not_known(hub)
    reachability = hub.reachability(peer)
    if reachability == Reachability.UNREACHABLE:
        advice = f"It is not the device. {hub.told(Code.HUB_UNREACHABLE)}".rstrip()
        return Condition("bad", "Hub not reachable", advice, since=seen.last_handshake)
    if profile_state == ProfileState.UNDELIVERED:
        return Condition("waiting", "Profile not fetched yet", _fetch_advice(peer))
    if profile_state == ProfileState.OUTDATED:
        return Condition(
            "waiting",
            "Not connected",
            f"The profile that it was given is outdated. {remedy_of(peer)}",
            since=seen.last_handshake,
        )
    advice = ""
    if reachability == Reachability.UNPROVEN:
        unproven = hub.told(Code.HUB_UNPROVEN)
        advice = f"It may be the hub's side, which is not proven from outside yet. {unproven}".rstrip()
    if seen.last_handshake is None:
        fetched = f"The profile was fetched, but nothing connected with it yet. {advice}".rstrip()
        return Condition("waiting", "Never connected", fetched, steps=True)
    return Condition("off", "Not connected", advice, since=seen.last_handshake, steps=True)


def _connected_advice(peer: Peer, hub: HubSide) -> str:
    """What a connected peer does without."""
    # Routers are not told to ask the hub for names.
    names = "" if peer.is_site else hub.told(Code.RESOLVER_SILENT)
    return " ".join(part for part in (push_words(peer), names) if part)


def _not_on_hub(hub: HubSide) -> Condition:
    failure = hub.told(Code.APPLY_FAILED, Code.APPLY_STUCK)
    if failure:
        return Condition("bad", "Hub not up to date", failure)
    return Condition("waiting", "Going to the hub", "The hub learns of this peer within a few seconds.")


def _not_known(hub: HubSide) -> Condition:
    silent = hub.told(Code.HUB_SILENT)
    if silent:
        return Condition("bad", "Not known", silent, since=hub.instance.seen.observed_at, is_known=False)
    advice = "The hub was not heard of in the last seconds."
    return Condition("waiting", "Not known", advice, since=hub.instance.seen.observed_at, is_known=False)


def _unobserved(instance: Instance) -> bool:
    oldest = timezone.now() - timedelta(seconds=OBSERVATION_MAX_AGE)
    return instance.seen.observed_at is None or instance.seen.observed_at <= oldest


def _fetch_advice(peer: Peer) -> str:
    if peer.is_site:
        return "Fetch the profile and import it on the site's router."
    if peer.key_custody == KeyCustody.DEVICE:
        return "Fetch the profile, add the device's own private key to it, and switch it on."
    scan = "" if peer.is_openvpn else "scan it or "
    return f"Show the profile, {scan}download it on the device, and switch it on."
