"""Whether a hub lets the first packet of a flow pass, as its firewall decides.

Traffic to the hub itself (DNS, ping) is left out: the hub's addresses count as unreachable here.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from vpn.reach.hub import NEVER, PRIVATE, SERVER, UNASSIGNED, Hub
from vpn.reach.rulebook import ICMP, ICMPV6, SMTP, TCP, Rulebook
from vpn.reach.table import Table
from vpn.wire.intervals import address_of
from vpn.wire.spec import HubSpec


class Kind(Enum):
    """The kind of an address."""

    PEER = "peer"
    INTERNET = "internet"
    # A network behind the hub's server: reached like a peer's, never a source.
    SERVER = "server"
    # It neither sends nor is reached: the hub, an unassigned address of the pool, what tunnels never carry, private
    # ranges that the hub does not route.
    NOWHERE = "nowhere"

    # Identity hash, because members are unique and lookups happen by the million.
    __hash__ = object.__hash__


class Place(NamedTuple):
    """An address as rules see it: bit masks of the rules that match it as source and as destination."""

    kind: Kind
    sources: int
    destinations: int


NOWHERE = Place(Kind.NOWHERE, 0, 0)


def kind_of(owner: str | None) -> Kind:
    """Return the kind of an address of this owner, which must not be UNASSIGNED."""
    if owner is None:
        return Kind.INTERNET
    return Kind.SERVER if owner.startswith(SERVER) else Kind.PEER


# ICMP of the other family, which network stacks ignore.
_STRANGE = {4: ICMPV6, 6: ICMP}


def lets_pass(book: Rulebook, allows: bool, source: Place, destination: Place, protocol: str, port: int | None) -> bool:
    """Return True if a flow passes between two places of one family; `allows` is the policy between peers."""
    if source.kind is not Kind.PEER or destination.kind is Kind.NOWHERE:
        return False
    decision = book.decides(source.sources & destination.destinations & book.of(protocol, port))
    if destination.kind in {Kind.PEER, Kind.SERVER}:
        return allows if decision is None else decision
    return decision is not False and not (protocol == TCP and port == SMTP)


class Reach:
    """A hub, indexed for many reachability queries."""

    def __init__(self, hub: Hub | HubSpec) -> None:
        self.hub = hub if isinstance(hub, Hub) else Hub.of(hub)
        self.book = Rulebook(self.hub.rules)
        self._owners: Table[str] = Table()
        self._private: Table[bool] = Table()
        self._never: Table[bool] = Table()
        self._places: dict[tuple[int, int], Place] = {}
        self._prepare()

    def _prepare(self) -> None:
        for network in NEVER:
            self._never.put(network, True)
        for network in PRIVATE:
            self._private.put(network, True)
        for address in (*self.hub.own, *self.hub.server):
            self._never.put(address, True)
        for network in self.hub.opened:
            self._owners.put(network, f"{SERVER}{network}")
        for peer_id, end in self.hub.peers.items():
            for network in end.networks:
                self._owners.put(network, peer_id)
        for pool in self.hub.pools:
            # A peer with a broad route does not own the pool's unassigned addresses.
            self._owners.put(pool, UNASSIGNED)

    def passes(self, source: str, destination: str, protocol: str, port: int | None = None) -> bool:
        """Return True if the hub lets a flow pass.

        Source and destination are addresses; `protocol` is tcp, udp, icmp, icmpv6 or other; `port` the destination's,
        for TCP and UDP. Raises OSError for an invalid address.
        """
        version, sender = address_of(source)
        receiving_version, receiver = address_of(destination)
        if version != receiving_version or protocol == _STRANGE[version]:
            return False
        places = self._place(version, sender), self._place(version, receiver)
        return lets_pass(self.book, self.hub.allows, *places, protocol, port)

    def owner(self, address: str) -> str | None:
        """Return the id of the peer that owns an address by longest prefix match."""
        owner = next(self._owners.around(*address_of(address)), None)
        return None if not owner or owner.startswith(SERVER) else owner

    def _place(self, version: int, address: int) -> Place:
        place = self._places.get((version, address))
        if place is None:
            place = self._places[version, address] = self._look(version, address)
        return place

    def _look(self, version: int, address: int) -> Place:
        owner = next(self._owners.around(version, address), None)
        unreachable = owner == UNASSIGNED or (owner is None and any(self._private.around(version, address)))
        if unreachable or any(self._never.around(version, address)):
            return NOWHERE
        kind = kind_of(owner)
        peer = self.hub.peers[owner] if owner is not None and kind is Kind.PEER else None
        tags = peer.tags_at(version, address) if peer is not None else ()
        return Place(
            kind,
            self.book.sources.tagged(tags) | self.book.sources.around(version, address),
            self.book.destinations.tagged(tags) | self.book.destinations.around(version, address),
        )
