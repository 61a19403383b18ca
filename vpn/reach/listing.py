"""From effects between kinds of addresses to lines about people, sites and networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from vpn.reach.crowds import Crowd, Pairs, crowds_of, pairs_of
from vpn.reach.effects import FAMILY_PROTOCOLS, Budget, Change, Effect
from vpn.reach.internet import REST, ByEnd, Changes, Internet
from vpn.reach.partition import INTERNET, AddressClass, Ownerships
from vpn.reach.rulebook import OTHER, PROTOCOLS, TCP, UDP
from vpn.wire.intervals import networks_of

ANY = "any"


class Line(NamedTuple):
    """One difference: who reaches whom over what, before and after. Ports as rules have them, "" for all."""

    source: str
    destination: str
    protocol: str
    port: str
    before: bool
    after: bool


# One end of a line: all addresses of an owner (None), or those of one class.
Part = AddressClass | None
Effects = dict[tuple[AddressClass, AddressClass], Effect]
Template = tuple[Part, Part, str, Change]
_NOTHING: Effect = {}
# What two crowds have in common takes as long as so many pairs of names.
_COST = 150


class Listing:
    """The lines for what changes between those who hold addresses."""

    def __init__(self, ownerships: Ownerships, effects: Effects, budget: Budget) -> None:
        self._ownerships = ownerships
        self._effects = effects
        self._budget = budget
        self.crowds = crowds_of(ownerships)
        self._internet = Internet(ownerships)
        self._whole: dict[tuple[tuple[int, int], ...], list[Template]] = {}

    def lines(self, of: str = "") -> Iterator[Line]:
        """All lines; one line covers all addresses of an owner if the effect is the same. Raises Exhausted.

        With `of` only those for the flows that this owner begins.
        """
        for source, destination in self.concerned():
            names = [name for name in source.names if name == of] if of else source.names
            if not names:
                continue
            pairs = self._pairs_of(source, destination)
            templates: list[Template] | None = None
            for one, other in product(names, destination.names):
                self._budget.spend()
                if one == other:
                    yield from self._among(one, pairs)
                    continue
                if templates is None:
                    templates = list(self._templates(pairs))
                for from_part, to_part, protocol, change in templates:
                    yield from self._spelled(one, from_part, other, to_part, protocol, change)

    def between(self, source: Crowd, destination: Crowd) -> list[Template]:
        """What changes between one of the source and another one of the destination, once for all of them.

        Raises Exhausted.
        """
        pairs = self._pairs_of(source, destination)
        if source == destination and len(source.names) == 1:
            pairs = self._between_own(source.names[0], pairs)
        # Mostly all that two have is concerned alike: then it is the same for all such pairs.
        effects = {(pair[0].version, id(self._effects.get(pair, _NOTHING))) for pair in pairs}
        if len(effects) != len({version for version, _ in effects}):
            self._budget.spend(_COST)
            return list(self._templates(pairs))
        key = tuple(sorted(effects))
        if key in self._whole:
            return self._whole[key]
        self._budget.spend(_COST)
        found = list(self._templates(pairs))
        if not any(from_part or to_part for from_part, to_part, _, _ in found):
            self._whole[key] = found
        return found

    def _pairs_of(self, source: Crowd, destination: Crowd) -> Pairs:
        """As `pairs_of`. Raises Exhausted."""
        self._budget.spend(len(source.kinds) * len(destination.kinds))
        return pairs_of(source, destination)

    def _among(self, name: str, pairs: Pairs) -> Iterator[Line]:
        """The lines between the devices of one: what a device says to itself never comes to the hub."""
        own = self._between_own(name, pairs)
        for from_part, to_part, protocol, change in self._templates(own) if own else ():
            yield from self._spelled(name, from_part, name, to_part, protocol, change)

    def _between_own(self, name: str, pairs: Pairs) -> Pairs:
        """The pairs that lead from one peer of an owner to another peer of the same owner."""
        held = self._ownerships[name]
        self._budget.spend(len(pairs))
        return [pair for pair in pairs if len(held[pair[0]].peers | held[pair[1]].peers) > 1]

    def concerned(self) -> list[tuple[Crowd, Crowd]]:
        """The crowds between which something changes. Raises Exhausted."""
        having: dict[AddressClass, list[Crowd]] = defaultdict(list)
        for crowd in self.crowds:
            for kind in crowd.kinds:
                having[kind].append(crowd)
        found: dict[tuple[Crowd, Crowd], None] = {}
        for source, destination in self._effects:
            for pair in product(having[source], having[destination]):
                self._budget.spend()
                found[pair] = None
        return list(found)

    def _templates(self, pairs: Pairs) -> Iterator[Template]:
        """What changes between crowds of these kinds, said once for as much as possible."""
        said: dict[Part, dict[Part, Changes]] = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
        for protocol in PROTOCOLS:
            # All are looked at, and what they have in common where one family changes.
            self._budget.spend(2 * len(pairs))
            for from_part, to_part, change in self._factored(pairs, protocol):
                said[from_part][to_part][protocol].add(change)
        for from_part, by_end in said.items():
            for to_part, by_protocol in self._of_internet(from_part, by_end).items():
                end = from_part or to_part
                versions = {source.version for source, _ in pairs} if end in (None, REST) else {end.version}
                for protocol, change in _together(by_protocol, versions):
                    yield from_part, to_part, protocol, change

    def _of_internet(self, from_part: Part, by_end: ByEnd) -> ByEnd:
        if from_part is None:
            return self._internet.both(by_end)
        # The source says of which family the destination is.
        return {None if end is None else self._internet.without_family(end): by_end[end] for end in by_end}

    def _factored(self, pairs: Pairs, protocol: str) -> Iterator[tuple[Part, Part, Change]]:
        """The changes of one protocol: what all pairs have in common, then a destination or a source, then the rest.

        Where one family alone changes, its ICMP is said with its other protocols, network by network.
        """
        concerned = [pair for pair in pairs if protocol in FAMILY_PROTOCOLS[pair[0].version]]
        left = {pair: set(self._effects.get(pair, {}).get(protocol, ())) for pair in concerned}
        apart = (
            self._common(concerned, OTHER) - self._common(pairs, OTHER) if 0 < len(concerned) < len(pairs) else set()
        )
        ways = (
            (lambda pair: (None, None)),
            (lambda pair: (None, pair[1])),
            (lambda pair: (pair[0], None)),
            (lambda pair: pair),
        )
        for way in ways:
            # Every pair is put with others and taken from them, with all of its changes.
            self._budget.spend(2 * len(left) + sum(map(len, left.values())))
            together: dict[tuple[Part, Part], Pairs] = defaultdict(list)
            for pair in left:
                together[way(pair)].append(pair)
            for (from_part, to_part), some in together.items():
                common = set.intersection(*(left[pair] for pair in some))
                if (from_part, to_part) == (None, None):
                    common -= apart
                for change in sorted(common):
                    yield from_part, to_part, change
                for pair in some:
                    left[pair] -= common

    def _common(self, pairs: Pairs, protocol: str) -> set[Change]:
        """The changes of a protocol that all of these pairs have."""
        return set.intersection(*(set(self._effects.get(pair, {}).get(protocol, ())) for pair in pairs))

    def _spelled(
        self, source: str, from_part: Part, destination: str, to_part: Part, protocol: str, change: Change
    ) -> Iterator[Line]:
        port = port_words(change)
        self._budget.spend(self._size(source, from_part) + self._size(destination, to_part))
        for one, other in product(self.ends(source, from_part), self.ends(destination, to_part)):
            yield Line(one, other, protocol, port, change.before, change.after)

    def _size(self, name: str, part: Part) -> int:
        ownership = None if part is None else self._ownerships[name].get(part)
        return 0 if ownership is None else len(ownership.spans)

    def ends(self, name: str, part: Part) -> list[str]:
        """The name of a part of an owner's addresses: the owner's name if it is all of them."""
        if part is None:
            return [name]
        return self._internet.ends(part) if name == INTERNET else networks_of(self._ownerships[name][part].spans)


def _together(by_protocol: dict[str, set[Change]], versions: Iterable[int]) -> Iterator[tuple[str, Change]]:
    """The changes with those of several protocols as one."""
    everything = {protocol for version in versions for protocol in FAMILY_PROTOCOLS[version]}
    for after in (False, True):
        whole = {
            protocol
            for protocol, changes in by_protocol.items()
            if any(change.is_whole and change.after == after for change in changes)
        }
        if whole == everything:
            yield ANY, Change(0, 0, not after, after)
            for changes in by_protocol.values():
                changes -= {change for change in changes if change.is_whole and change.after == after}
    tcp, udp = by_protocol.get(TCP, set()), by_protocol.get(UDP, set())
    for change in sorted(tcp & udp):
        if not change.is_whole:
            yield ANY, change
            tcp.remove(change)
            udp.remove(change)
    for protocol in PROTOCOLS:
        for change in sorted(by_protocol.get(protocol, ())):
            yield protocol, change


def port_words(change: Change) -> str:
    """The ports of a change as rules have them; "" for all, and for protocols without ports."""
    if change.is_whole:
        return ""
    return str(change.first) if change.first == change.last else f"{change.first}-{change.last}"
