"""The effects of a change on flows between pairs of address classes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vpn.reach.first_packet import Kind, lets_pass
from vpn.reach.partition import AddressClass
from vpn.reach.rulebook import FIRST_PORT, ICMP, ICMPV6, LAST_PORT, OTHER, TCP, UDP, WITH_PORTS, Rulebook

FAMILY_PROTOCOLS = {4: (TCP, UDP, ICMP, OTHER), 6: (TCP, UDP, ICMPV6, OTHER)}


class Change(NamedTuple):
    """A range of ports, and whether it passes before and after. Without ports, both ends are 0."""

    first: int
    last: int
    before: bool
    after: bool

    @property
    def is_whole(self) -> bool:
        """True if it covers every port, or a protocol without ports."""
        return (self.first, self.last) in {(0, 0), (FIRST_PORT, LAST_PORT)}


# Changes by protocol; protocols without a change are not included.
Effect = dict[str, frozenset[Change]]


class Exhausted(Exception):
    """The comparison exceeds its budget."""


@dataclass
class Budget:
    """The remaining steps of work for a part of a plan, and in `whole` for all parts together.

    Loops count their steps, so the same rows always stop at the same step, on any machine.
    """

    left: int
    whole: Budget | None = None
    # True if anything was left out, here or in a part.
    is_exceeded: bool = False

    def part(self, most: int) -> Budget:
        """Return a budget for a part: at most a third of the rest, so that other parts have some too."""
        return Budget(min(most, max(self.left, 0) // 3), self)

    def spend(self, amount: int = 1) -> None:
        """Take steps from the budget. Raises Exhausted if none are left."""
        self.left -= amount
        if self.left < 0:
            self.is_exceeded = True
            if self.whole is not None:
                self.whole.is_exceeded = True
            raise Exhausted
        if self.whole is not None:
            self.whole.spend(amount)


class Comparison:
    """Rules and policy before and after. `active` are two bit masks: the book's rules before and after."""

    def __init__(self, book: Rulebook, active: tuple[int, int], allows: tuple[bool, bool], budget: Budget) -> None:
        self._book = book
        self._allows = allows
        self._budget = budget
        self._common = active[0] & active[1]
        self._only_one = active[0] ^ active[1]
        self._known: dict[tuple[object, ...], Effect] = {}

    def pairs(
        self, places: Collection[AddressClass], senders: Collection[AddressClass] | None = None
    ) -> Iterator[tuple[AddressClass, AddressClass, Effect]]:
        """Yield the pairs of source and destination class between which something changes. Raises Exhausted.

        With `senders` these are the only sources.
        """
        for version in (4, 6):
            asked = places if senders is None else senders
            sources = [place for place in asked if place.version == version and _may_send(place)]
            destinations = [place for place in places if place.version == version]
            moved = [place for place in destinations if self._has_moved(place)]
            unmoved = [place for place in destinations if not self._has_moved(place)]
            for source in sources:
                for destination in self._concerned(source, moved, unmoved):
                    self._budget.spend()
                    effect = self._effect(source, destination)
                    if effect:
                        yield source, destination, effect

    def _concerned(
        self, source: AddressClass, moved: list[AddressClass], unmoved: list[AddressClass]
    ) -> Iterator[AddressClass]:
        """Yield the destinations for which the result may differ, for one source."""
        yield from moved
        if self._allows[0] != self._allows[1] or self._has_moved(source):
            yield from unmoved
            return
        new = (source.before.sources | source.after.sources) & self._only_one
        if new:
            self._budget.spend(len(unmoved) // 8)
            yield from (place for place in unmoved if new & (place.before.destinations | place.after.destinations))

    def _has_moved(self, place: AddressClass) -> bool:
        """Return True if unchanged rules match the place differently before and after."""
        before, after = place.before, place.after
        return before.kind is not after.kind or bool(
            ((before.sources ^ after.sources) | (before.destinations ^ after.destinations)) & self._common
        )

    def _effect(self, source: AddressClass, destination: AddressClass) -> Effect:
        sides = (source.before, destination.before), (source.after, destination.after)
        passing = [one.kind is Kind.PEER and other.kind is not Kind.NOWHERE for one, other in sides]
        bits = tuple(one.sources & other.destinations for one, other in sides)
        kinds = destination.before.kind, destination.after.kind
        stays = kinds[0] is kinds[1] and (kinds[0] is Kind.INTERNET or self._allows[0] == self._allows[1])
        if not any(passing) or (all(passing) and stays and bits[0] == bits[1]):
            return {}
        key = (source.version, *passing, *kinds, *bits)
        if key not in self._known:
            self._known[key] = self._compare(source, destination, bits[0] | bits[1])
        return self._known[key]

    def _compare(self, source: AddressClass, destination: AddressClass, bits: int) -> Effect:
        effect = {}
        # If both lead to the internet, SMTP is blocked before and after, so it need not be reported.
        with_smtp = destination.before.kind is not destination.after.kind
        ports = self._book.starts_of(bits, with_smtp=with_smtp)
        for protocol in FAMILY_PROTOCOLS[source.version]:
            starts = ports if protocol in WITH_PORTS else [0]
            self._budget.spend(len(starts) // 8)
            changes = self._changes(source, destination, protocol, starts)
            if changes:
                effect[protocol] = changes
        return effect

    def _changes(
        self, source: AddressClass, destination: AddressClass, protocol: str, starts: list[int]
    ) -> frozenset[Change]:
        found: list[Change] = []
        ends = [*(start - 1 for start in starts[1:]), LAST_PORT if protocol in WITH_PORTS else 0]
        for first, last in zip(starts, ends, strict=True):
            before = lets_pass(self._book, self._allows[0], source.before, destination.before, protocol, first)
            after = lets_pass(self._book, self._allows[1], source.after, destination.after, protocol, first)
            if before == after:
                continue
            if found and found[-1].last == first - 1 and found[-1].after == after:
                found[-1] = Change(found[-1].first, last, before, after)
            else:
                found.append(Change(first, last, before, after))
        return frozenset(found)


def _may_send(place: AddressClass) -> bool:
    return Kind.PEER in (place.before.kind, place.after.kind)
