"""From effects between kinds of addresses to lines about people, sites and networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from itertools import product
from typing import NamedTuple

from vpn.plan.effects import FAMILY_PROTOCOLS, Budget, Change, Effect
from vpn.plan.regions import INTERNET, Alike, Holding, Holdings
from vpn.plan.rulebook import ICMP, ICMPV6, OTHER, TCP, UDP
from vpn.plan.spans import Span

ANY = "any"
# A piece of the internet that is made of more networks than this is called by its name.
_MOST_NETWORKS = 16


class Line(NamedTuple):
    """One difference: who reaches whom over what, before and after. Ports as rules have them, "" for all."""

    source: str
    destination: str
    protocol: str
    port: str
    before: bool
    after: bool


@dataclass(frozen=True)
class _Crowd:
    """Some who have the very same kinds of addresses."""

    names: tuple[str, ...]
    kinds: frozenset[Alike]


# One end of a line: all that somebody has, or (not None) what they have of one kind.
_Part = Alike | None
_Effects = dict[tuple[Alike, Alike], Effect]
_Pairs = list[tuple[Alike, Alike]]


class Listing:
    """The lines for what changes between those who hold addresses."""

    def __init__(self, holdings: Holdings, effects: _Effects, budget: Budget) -> None:
        self._holdings = holdings
        self._effects = effects
        self._budget = budget

    def lines(self) -> Iterator[Line]:
        """All lines, one for everything that somebody has where that is alike. Raises Exhausted."""
        for source, destination in self._concerned():
            pairs = _pairs(source, destination)
            templates: list[tuple[_Part, _Part, str, Change]] | None = None
            for one, other in product(source.names, destination.names):
                self._budget.spend()
                if one == other:
                    yield from self._among(one, pairs)
                    continue
                if templates is None:
                    templates = list(self._templates(pairs))
                for from_part, to_part, protocol, change in templates:
                    yield from self._spelled(one, from_part, other, to_part, protocol, change)

    def _among(self, name: str, pairs: _Pairs) -> Iterator[Line]:
        """The lines between the devices of one: what a device says to itself never comes to the hub."""
        held = self._holdings[name]
        if len({peer for holding in held.values() for peer in holding.peers}) > 1:
            between = [pair for pair in pairs if len(held[pair[0]].peers | held[pair[1]].peers) > 1]
            for from_part, to_part, protocol, change in self._templates(between):
                yield from self._spelled(name, from_part, name, to_part, protocol, change)

    def _concerned(self) -> list[tuple[_Crowd, _Crowd]]:
        """The crowds between which something changes."""
        crowds = _crowds(self._holdings)
        having: dict[Alike, list[_Crowd]] = defaultdict(list)
        for crowd in crowds:
            for kind in crowd.kinds:
                having[kind].append(crowd)
        found: dict[tuple[_Crowd, _Crowd], None] = {}
        for source, destination in self._effects:
            for pair in product(having[source], having[destination]):
                self._budget.spend()
                found[pair] = None
        return list(found)

    def _templates(self, pairs: _Pairs) -> Iterator[tuple[_Part, _Part, str, Change]]:
        """What changes between crowds of these kinds, said once for as much as possible."""
        said: dict[tuple[_Part, _Part], dict[str, set[Change]]] = defaultdict(lambda: defaultdict(set))
        for protocol in (TCP, UDP, ICMP, ICMPV6, OTHER):
            asked = [pair for pair in pairs if protocol in FAMILY_PROTOCOLS[pair[0].version]]
            for from_part, to_part, change in self._factored(asked, protocol):
                said[from_part, to_part][protocol].add(change)
        for (from_part, to_part), by_protocol in said.items():
            end = from_part or to_part
            versions = {end.version} if end else {source.version for source, _ in pairs}
            for protocol, change in _together(by_protocol, versions):
                yield from_part, to_part, protocol, change

    def _factored(self, pairs: _Pairs, protocol: str) -> Iterator[tuple[_Part, _Part, Change]]:
        """The changes of one protocol: what all pairs have in common, then a destination or a source, then the rest."""
        left = {pair: set(self._effects.get(pair, {}).get(protocol, ())) for pair in pairs}
        ways = (
            (lambda pair: (None, None)),
            (lambda pair: (None, pair[1])),
            (lambda pair: (pair[0], None)),
            (lambda pair: pair),
        )
        for way in ways:
            together: dict[tuple[_Part, _Part], _Pairs] = defaultdict(list)
            for pair in left:
                together[way(pair)].append(pair)
            for (from_part, to_part), some in together.items():
                common = set.intersection(*(left[pair] for pair in some))
                for change in sorted(common):
                    yield from_part, to_part, change
                for pair in some:
                    left[pair] -= common

    def _spelled(
        self, source: str, from_part: _Part, destination: str, to_part: _Part, protocol: str, change: Change
    ) -> Iterator[Line]:
        port = "" if change.is_whole else _port(change)
        for one, other in product(self._names(source, from_part), self._names(destination, to_part)):
            yield Line(one, other, protocol, port, change.before, change.after)

    def _names(self, name: str, part: _Part) -> list[str]:
        if part is None:
            return [name]
        networks = _networks(self._holdings[name][part])
        return [name] if name == INTERNET and len(networks) > _MOST_NETWORKS else networks


def _crowds(holdings: Holdings) -> list[_Crowd]:
    """Those who have the same kinds of addresses, put together."""
    by_kinds: dict[frozenset[Alike], list[str]] = defaultdict(list)
    for name, held in holdings.items():
        by_kinds[frozenset(held)].append(name)
    return [_Crowd(tuple(names), kinds) for kinds, names in by_kinds.items()]


def _pairs(source: _Crowd, destination: _Crowd) -> _Pairs:
    return [(one, other) for one, other in product(source.kinds, destination.kinds) if one.version == other.version]


def _together(by_protocol: dict[str, set[Change]], versions: Iterable[int]) -> Iterator[tuple[str, Change]]:
    """The changes with those of several protocols as one; what is neither TCP, UDP nor ICMP has no word of its own."""
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
    for protocol in (TCP, UDP, ICMP, ICMPV6):
        for change in sorted(by_protocol.get(protocol, ())):
            yield protocol, change


def _port(change: Change) -> str:
    return str(change.first) if change.first == change.last else f"{change.first}-{change.last}"


def _networks(holding: Holding) -> list[str]:
    """The networks that somebody's addresses of one kind make."""
    networks: list[str] = []
    for version, first, last in _joined(holding.spans):
        kind = IPv4Address if version == 4 else IPv6Address
        networks += [str(network) for network in summarize_address_range(kind(first), kind(last))]
    return networks


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and joined[-1].version == span.version and joined[-1].last + 1 == span.first:
            joined[-1] = Span(span.version, joined[-1].first, span.last)
        else:
            joined.append(span)
    return joined
