"""What the portal knows about the hub itself: pages rule out the hub before they suspect the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.utils.translation import gettext as _

from vpn.choices import Listener, Reachability
from vpn.models import Instance, ListenerProof, Peer
from vpn.needs import Code, proofs_of_all, reachable_in
from vpn.presenters.needs import Notice, notices_of_all


@dataclass
class Hubs:
    """Several hubs; it reads the database on first use, and once for all of them."""

    instances: Sequence[Instance]

    @cached_property
    def states(self) -> dict[UUID, dict[str, str | None]]:
        """By instance, which listeners are reachable."""
        return reachable_in(self._proofs, [instance.pk for instance in self.instances])

    @cached_property
    def notices(self) -> dict[UUID, list[Notice]]:
        """By instance, what needs a person."""
        return notices_of_all(self.instances, proofs=self._proofs)

    @cached_property
    def _proofs(self) -> list[ListenerProof]:
        return proofs_of_all(self.instances)


@dataclass
class HubSide:
    """One hub, for the conditions of all its peers; what is known is read at once for `hubs`, where these are given.

    If `for_admin` is true, the reader can repair the hub. Other readers learn what is wrong and whom to ask.
    """

    instance: Instance
    for_admin: bool
    hubs: Hubs | None = None

    def reachability(self, peer: Peer) -> Reachability | None:
        """The best state of the listeners that the peer may use; None where nothing is known."""
        states = self._known.states[self.instance.pk]
        known = {states[listener] for listener in listeners_of(peer)}
        order = (Reachability.PROVEN, Reachability.UNPROVEN, Reachability.UNREACHABLE)
        return next((state for state in order if state in known), None)

    def notice_for(self, *codes: Code) -> str:
        """The first notice with one of these codes, as text; "" if there is none."""
        notice = next((notice for notice in self._known.notices[self.instance.pk] if notice.code in codes), None)
        if notice is None:
            return ""
        return notice.text if self.for_admin else _("%(title)s. An admin can see why.") % {"title": notice.title}

    @cached_property
    def _known(self) -> Hubs:
        return self.hubs or Hubs([self.instance])


def listeners_of(peer: Peer) -> tuple[Listener, ...]:
    """The listeners that a peer connects to; over OpenVPN it tries UDP, then TCP."""
    if not peer.is_openvpn:
        return (Listener.WIREGUARD,)
    if peer.site is not None and peer.site.needs_compat:
        return (Listener.OPENVPN_COMPAT,)
    return (Listener.OPENVPN_UDP, Listener.OPENVPN_TCP)


def hosts_of(instance: Instance) -> tuple[str, ...]:
    """The addresses that profiles contain; none until the hub has a server."""
    return instance.server.addresses if instance.server is not None else ()


def host_of(peer: Peer) -> str:
    """The name or address in the peer's profile: the delivered one, unless the hub no longer has it."""
    hosts = hosts_of(peer.instance)
    if peer.delivered_host == peer.instance.full_hostname:
        return peer.delivered_host
    return peer.delivered_host if peer.delivered_host in hosts else next(iter(hosts), "")
