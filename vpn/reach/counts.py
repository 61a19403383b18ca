"""How many peers a change cuts off, how many lose some destinations, and how many gain some."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import NamedTuple

from vpn.reach.crowds import pairs_between, peers_of
from vpn.reach.effects import FAMILY_PROTOCOLS, Budget
from vpn.reach.first_packet import Kind, lets_pass
from vpn.reach.listing import Effects
from vpn.reach.partition import AddressClass, Ownerships
from vpn.reach.rulebook import WITH_PORTS, Rulebook


@dataclass(frozen=True)
class Counts:
    """Of `total` peers, the number that can no longer reach any peer, lose some destinations, or gain some.

    `cut_off` peers reached another peer before. Added and removed peers count: an added one reached nothing before, a
    removed one reaches nothing after.
    """

    total: int
    cut_off: int
    losing: int
    gaining: int

    def plus(self, other: Counts) -> Counts:
        """Return the sum for two hubs; no peer is on both."""
        return Counts(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))


class _Class(NamedTuple):
    """Peers with the same address classes, regardless of their owner."""

    kinds: frozenset[AddressClass]
    size: int

    def meets(self, other: _Class) -> bool:
        """Return True if two different peers can be chosen from the two classes."""
        return self is not other or self.size > 1


def counts_of(
    ownerships: Ownerships, effects: Effects, policy: tuple[bool, bool], book: Rulebook, budget: Budget
) -> Counts:
    """Return the counts for changes between address classes. Raises Exhausted.

    `policy` says whether peers reach each other without a matching rule, before and after.
    """
    classes = _classes_of(ownerships)
    touched = _touched(ownerships, classes, effects, budget)
    reach = _Reach(classes, policy, book, budget)
    cut_off = {one for one in touched[False] if reach.has_any(one, 0) and not reach.has_any(one, 1)}
    return Counts(
        total=sum(one.size for one in classes),
        cut_off=sum(one.size for one in cut_off),
        losing=sum(one.size for one in touched[False] - cut_off),
        gaining=sum(one.size for one in touched[True]),
    )


def _classes_of(ownerships: Ownerships) -> list[_Class]:
    kinds_of: dict[str, set[AddressClass]] = defaultdict(set)
    for name, held in ownerships.items():
        own = peers_of(ownerships, name)
        for kind, ownership in held.items():
            for peer in own & ownership.peers:
                kinds_of[peer].add(kind)
    sizes = Counter(frozenset(kinds) for kinds in kinds_of.values())
    return [_Class(kinds, size) for kinds, size in sizes.items()]


def _touched(
    ownerships: Ownerships, classes: list[_Class], effects: Effects, budget: Budget
) -> dict[bool, set[_Class]]:
    """Return the classes that lose (False) or gain (True) something. A peer's traffic to itself does not count."""
    having: dict[AddressClass, list[_Class]] = defaultdict(list)
    for one in classes:
        for kind in one.kinds:
            having[kind].append(one)
    for_all = {kind for name, held in ownerships.items() if not peers_of(ownerships, name) for kind in held}
    touched: dict[bool, set[_Class]] = {False: set(), True: set()}
    for (source, destination), effect in effects.items():
        others = having[destination]
        budget.spend(len(having[source]) + sum(map(len, effect.values())))
        senders = [
            one
            for one in having[source]
            if destination in for_all or len(others) > 1 or any(one.meets(other) for other in others)
        ]
        for after in {change.after for changes in effect.values() for change in changes}:
            touched[after].update(senders)
    return touched


class _Reach:
    """Whether the peers of a class reach any other peer, before (side 0) or after (side 1) a change."""

    def __init__(self, classes: list[_Class], policy: tuple[bool, bool], book: Rulebook, budget: Budget) -> None:
        self._classes = classes
        self._policy = policy
        self._book = book
        self._budget = budget
        self._known: dict[tuple[object, ...], bool] = {}

    def has_any(self, source: _Class, side: int) -> bool:
        """Return True if a peer of the class reaches another peer at all. Raises Exhausted."""
        return any(self._passes(pair, side) for pair in self._pairs(source))

    def _pairs(self, source: _Class) -> Iterable[tuple[AddressClass, AddressClass]]:
        for other in self._classes:
            self._budget.spend(1 + len(source.kinds) * len(other.kinds) // 4)
            if source.meets(other):
                yield from pairs_between(source.kinds, other.kinds)

    def _passes(self, pair: tuple[AddressClass, AddressClass], side: int) -> bool:
        self._budget.spend()
        source, destination = ((one.before, one.after)[side] for one in pair)
        if source.kind is not Kind.PEER or destination.kind is not Kind.PEER:
            return False
        bits = source.sources & destination.destinations
        key = (side, pair[0].version, bits)
        if key not in self._known:
            ports = self._book.starts_of(bits, with_smtp=False)
            self._known[key] = any(
                lets_pass(self._book, self._policy[side], source, destination, protocol, port)
                for protocol in FAMILY_PROTOCOLS[pair[0].version]
                for port in (ports if protocol in WITH_PORTS else [0])
            )
        return self._known[key]
