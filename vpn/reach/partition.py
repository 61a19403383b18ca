"""Divide the address space into classes of addresses that nothing distinguishes, before a change and after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vpn.reach.first_packet import NOWHERE, Kind, Place, kind_of
from vpn.reach.hub import NEVER, PRIVATE, SERVER, UNASSIGNED, Hub
from vpn.reach.rulebook import Rulebook
from vpn.reach.table import span_of
from vpn.wire.intervals import Span, pieces

# The owner of the internet's addresses. In rules, the same word means any destination.
INTERNET = "any"
# All addresses of a family.
ROOTS = (Span(4, 0, 2**32 - 1), Span(6, 0, 2**128 - 1))


class AddressClass(NamedTuple):
    """Addresses of one family that rules and policy treat the same, before and after."""

    version: int
    before: Place
    after: Place


@dataclass
class Ownership:
    """An owner's part of an address class: its spans, their peers, and the narrowest named networks around them."""

    spans: list[Span] = field(default_factory=list)
    peers: set[str | None] = field(default_factory=set)
    around: set[Span] = field(default_factory=set)


# By owner (`user:ID`, `site:ID`, INTERNET), the addresses of each class.
Ownerships = dict[str, dict[AddressClass, Ownership]]


@dataclass
class _Marks:
    """The attributes of one network: owners (None if it has none), rules, and whether it is unreachable."""

    before: str | None = None
    after: str | None = None
    sources: int = 0
    destinations: int = 0
    never: bool = False
    private: bool = False

    def within(self, outer: _Marks) -> _Marks:
        """Return these attributes combined with those of a wider network around it."""
        return _Marks(
            outer.before if self.before is None else self.before,
            outer.after if self.after is None else self.after,
            outer.sources | self.sources,
            outer.destinations | self.destinations,
            outer.never or self.never,
            outer.private or self.private,
        )


class Survey:
    """Both hubs in one address space. `book` holds the rules of both, `active` the rules of each as bits.

    `principals` gives the owner of a peer, by its id. Peers without an entry are left out.
    """

    def __init__(
        self, before: Hub, after: Hub, book: Rulebook, active: tuple[int, int], principals: Mapping[str, str]
    ) -> None:
        self._hubs = before, after
        self._book = book
        self._active = active
        self._principals = principals

    def ownerships(self) -> Ownerships:
        """Return the addresses of each owner, without those that can neither send nor be reached on both sides."""
        found: Ownerships = {}
        for span, around, marks in pieces(self._marks().items(), _Marks.within):
            places = self._place(0, marks.before, marks, span), self._place(1, marks.after, marks, span)
            address_class = AddressClass(span.version, *places)
            if address_class.before.kind is address_class.after.kind is Kind.NOWHERE:
                continue
            peer = marks.after or marks.before or None
            principal = self._principal(peer)
            if principal is not None:
                ownership = found.setdefault(principal, {}).setdefault(address_class, Ownership())
                ownership.spans.append(span)
                ownership.peers.add(peer)
                ownership.around.add(around)
        return found

    def _principal(self, peer: str | None) -> str | None:
        """Return the owner of an address. A network behind the server is its own owner."""
        if peer is None:
            return INTERNET
        return peer.removeprefix(SERVER) if peer.startswith(SERVER) else self._principals.get(peer)

    def _marks(self) -> dict[Span, _Marks]:
        marks = {root: _Marks() for root in ROOTS}

        def at(network: str) -> _Marks:
            return marks.setdefault(span_of(network), _Marks())

        for network in PRIVATE:
            at(network).private = True
        for network, bits in self._book.sources.by_network.items():
            at(network).sources |= bits
        for network, bits in self._book.destinations.by_network.items():
            at(network).destinations |= bits
        for side, hub in zip(("before", "after"), self._hubs, strict=True):
            for network, owner in _owners(hub):
                setattr(at(network), side, owner)
        for network in (*NEVER, *self._hubs[1].own, *self._hubs[1].server):
            at(network).never = True
        return marks

    def _place(self, side: int, owner: str | None, marks: _Marks, span: Span) -> Place:
        if marks.never or owner == UNASSIGNED or (owner is None and marks.private):
            return NOWHERE
        kind = kind_of(owner)
        peer = self._hubs[side].peers[owner] if owner is not None and kind is Kind.PEER else None
        # A host is a span of its own, so the first address tells the tags of all.
        tags = peer.tags_at(*span[:2]) if peer is not None else ()
        # Only peers send: rules with other sources have no effect.
        sources = self._book.sources.tagged(tags) | marks.sources if kind is Kind.PEER else 0
        return Place(
            kind,
            sources & self._active[side],
            (self._book.destinations.tagged(tags) | marks.destinations) & self._active[side],
        )


def _owners(hub: Hub) -> Iterator[tuple[str, str]]:
    """Yield each network with its owner."""
    for peer_id, end in hub.peers.items():
        yield from ((network, peer_id) for network in end.networks)
    yield from ((network, f"{SERVER}{network}") for network in hub.opened)
    yield from ((pool, UNASSIGNED) for pool in hub.pools)
