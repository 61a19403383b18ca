"""What the portal knows of the hub's own side, before a page looks for the fault with the device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vpn.choices import Listener, Reachability
from vpn.models import Instance, Peer
from vpn.needs import Code, reachable
from vpn.presenters.needs import Notice, notices_of


@dataclass
class HubSide:
    """One hub, for all conditions of its peers: asks the database when it is asked, and once.

    `for_admin` says that the reader can mend it; others hear what is so and whom to ask.
    """

    instance: Instance
    for_admin: bool

    def reachability(self, peer: Peer) -> Reachability | None:
        """The best that is known of the listeners that the peer may come to; None where nothing is known."""
        known = {self._states[listener] for listener in listeners_of(peer)}
        order = (Reachability.PROVEN, Reachability.UNPROVEN, Reachability.UNREACHABLE)
        return next((state for state in order if state in known), None)

    def told(self, *codes: Code) -> str:
        """What needs someone for one of these reasons, in sentences; "" where nothing does."""
        notice = next((notice for notice in self._notices if notice.code in codes), None)
        if notice is None:
            return ""
        return notice.text if self.for_admin else f"{notice.title}. An admin can see why."

    @cached_property
    def _states(self) -> dict[str, str | None]:
        return reachable(self.instance)

    @cached_property
    def _notices(self) -> list[Notice]:
        return notices_of(self.instance)


def listeners_of(peer: Peer) -> tuple[Listener, ...]:
    """Where a peer connects to; over OpenVPN it tries UDP, then TCP."""
    if not peer.is_openvpn:
        return (Listener.WIREGUARD,)
    if peer.site is not None and peer.site.needs_compat:
        return (Listener.OPENVPN_COMPAT,)
    return (Listener.OPENVPN_UDP, Listener.OPENVPN_TCP)


def hosts_of(instance: Instance) -> tuple[str, ...]:
    """The addresses that profiles carry; none until the hub has a server."""
    return instance.server.addresses if instance.server is not None else ()


def host_of(peer: Peer) -> str:
    """The address that the peer's profile carries: the delivered one, unless the hub has left it."""
    hosts = hosts_of(peer.instance)
    return peer.delivered_host if peer.delivered_host in hosts else next(iter(hosts), "")
