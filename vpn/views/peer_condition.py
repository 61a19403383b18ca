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
from vpn.views.hub_side import HubSide
from vpn.views.outdated import remedy_of
from vpn.views.peer_push import push_words

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
    should be led through what usually stands in the way.
    """

    tone: str
    word: str
    advice: str = ""
    since: datetime | None = None
    steps: bool = False

    @property
    def lasted(self) -> timedelta | None:
        """For how long it has been so."""
        return None if self.since is None else timezone.now() - self.since


def condition_of(peer: Peer, profile_state: str, *, may_change: bool, hub: HubSide | None = None) -> Condition:
    """How the peer's connection stands now; `may_change` says whether the reader can mend what an admin set.

    `hub` saves asking for the hub's side again where many peers of one instance are shown.
    """
    return (
        _shut_out(peer, may_change=may_change)
        or _hub_away(peer.instance)
        or _tunnel(peer, profile_state, hub or HubSide(peer.instance), may_change=may_change)
    )


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


def _hub_away(instance: Instance) -> Condition | None:
    found = _HUB_NOT_THERE.get(InstanceState(instance.state))
    return Condition(*found) if found else None


def _tunnel(peer: Peer, profile_state: str, hub: HubSide, *, may_change: bool) -> Condition:
    """What the portal knows of the hub and of the profile comes before what it can only guess of the device."""
    instance = peer.instance
    if peer.is_connected:
        return Condition("good", "Connected", push_words(peer), since=peer.connected_from or peer.last_handshake)
    if not peer.is_on_hub:
        return _not_on_hub(instance)
    if _unobserved(instance):
        return Condition(
            "waiting", "Not known", "The hub was not heard of in the last seconds.", since=instance.observed_at
        )
    reachability = hub.reachability(peer)
    if reachability == Reachability.UNREACHABLE:
        return _unreachable(peer, hub, may_change=may_change)
    if profile_state == ProfileState.UNDELIVERED:
        return Condition("waiting", "Profile not fetched yet", _fetch_advice(peer))
    if profile_state == ProfileState.OUTDATED:
        return Condition(
            "waiting",
            "Not connected",
            f"The profile that it was given is outdated. {remedy_of(peer)}",
            since=peer.last_handshake,
        )
    unproven = "" if reachability != Reachability.UNPROVEN else _unproven(hub, may_change=may_change)
    if peer.last_handshake is None:
        fetched = f"The profile was fetched, but nothing connected with it yet. {unproven}".rstrip()
        return Condition("waiting", "Never connected", fetched, steps=True)
    return Condition("off", "Not connected", unproven, since=peer.last_handshake, steps=True)


def _unreachable(peer: Peer, hub: HubSide, *, may_change: bool) -> Condition:
    need = hub.need(Code.HUB_UNREACHABLE)
    if may_change and need is not None:
        advice = f"It is not the device: {need.text[0].upper()}{need.text[1:]}"
    else:
        advice = "The hub does not answer from outside, so that no device can connect to it. An admin can see why."
    return Condition("bad", "Hub not reachable", advice, since=peer.last_handshake)


def _unproven(hub: HubSide, *, may_change: bool) -> str:
    need = hub.need(Code.HUB_UNPROVEN)
    if may_change and need is not None:
        return f"It may be the hub's side, which is not proven from outside yet. {need.message} {need.next_step}"
    return "It may be the hub's side, which is not proven from outside yet: ask an admin if it does not connect."


def _not_on_hub(instance: Instance) -> Condition:
    if instance.failure:
        return Condition("bad", "Hub not up to date", f"The last change could not be applied: {instance.failure}")
    return Condition("waiting", "Going to the hub", "The hub learns of this peer within a few seconds.")


def _unobserved(instance: Instance) -> bool:
    oldest = timezone.now() - timedelta(seconds=OBSERVATION_MAX_AGE)
    return instance.observed_at is None or instance.observed_at <= oldest


def _fetch_advice(peer: Peer) -> str:
    if peer.is_site:
        return "Fetch the profile and import it on the site's router."
    if peer.key_custody == KeyCustody.DEVICE:
        return "Fetch the profile, add the device's own private key to it, and switch it on."
    scan = "" if peer.is_openvpn else "scan it or "
    return f"Show the profile, {scan}download it on the device, and switch it on."
