"""The effects of a change by groups that it affects alike ("fates"): which groups gain or lose access to which.

Unlike lines about single pairs, groups are complete, whatever their size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeVar

from vpn.reach.counts import Counts, counts_of
from vpn.reach.crowds import Crowd, peers_of
from vpn.reach.effects import Budget, Exhausted
from vpn.reach.listing import Effects, Listing, Part, port_words
from vpn.reach.partition import Ownerships
from vpn.reach.rulebook import Rulebook

_Item = TypeVar("_Item", bound=Hashable)
_Product = tuple[frozenset[_Item], frozenset[_Item]]
# Limits of a readable table: rows, and names in all rows together.
MOST_ROWS = 100
_MOST_ENDS = 20_000
# Names that are stored of one group; pages show the number of further ones.
_MOST_NAMES = 5000
# The minimum cost of two crowds, in pairs of classes.
_COST = 5


# Pairs of groups by the change between them: opens or not, protocol, port.
Pairs = Mapping[tuple[bool, str, str], list[tuple[int, int]]]


class Group(NamedTuple):
    """Some of the same fate (`user:ID`, `site:ID`, `any`), or the networks of some that a rule names; `peers` is how
    many peers they have in all, 0 for networks."""

    ends: tuple[str, ...]
    peers: int


class Row(NamedTuple):
    """Groups that gain (`opens`) or lose access to others, over these protocols and ports only.

    Groups are indexes in `Fates.groups`. A group on both sides reaches the other members on the other side.
    """

    sources: tuple[int, ...]
    destinations: tuple[int, ...]
    ways: tuple[tuple[str, str], ...]
    opens: bool


@dataclass
class Fates:
    """The effects of a change by groups. `counts` is None if they exceeded the budget."""

    groups: list[Group] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    counts: Counts | None = None
    is_complete: bool = True

    def add(self, other: Fates) -> None:
        """Add the effects on another hub; groups with the same effects are merged."""
        numbers: dict[Group, int] = {group: number for number, group in enumerate(self.groups)}
        moved = [numbers.setdefault(group, len(numbers)) for group in other.groups]
        self.groups = list(numbers)
        for row in other.rows:
            sources, destinations = (tuple(sorted(moved[one] for one in side)) for side in row[:2])
            self.rows.append(Row(sources, destinations, row.ways, opens=row.opens))
        self.rows = list(dict.fromkeys(self.rows))
        if other.counts is not None:
            self.counts = other.counts if self.counts is None else self.counts.plus(other.counts)
        self.is_complete &= other.is_complete

    def document(self) -> dict[str, Any]:
        """Return the effects as JSON data."""
        return {
            "groups": [
                {"ends": group.ends[:_MOST_NAMES], "count": len(group.ends), "peers": group.peers}
                for group in self.groups
            ],
            "rows": [row._asdict() for row in self.rows],
            "counts": None if self.counts is None else asdict(self.counts),
        }


def fates_of(
    ownerships: Ownerships,
    effects: Effects,
    policy: tuple[bool, bool],
    book: Rulebook,
    budget: Budget,
    most: int,
) -> Fates:
    """The fates of all who hold addresses, from what changes between them; `policy` is whether peers reach each other
    before and after where no rule says anything. What takes more than `most` steps of the budget for each of its parts
    is left out."""
    listing = Listing(ownerships, effects, budget.part(most))
    fates = _rows_of(ownerships, listing, budget.part(most))
    with suppress(Exhausted):
        fates.counts = counts_of(ownerships, effects, policy, book, budget.part(most))
    return fates


def _rows_of(ownerships: Ownerships, listing: Listing, budget: Budget) -> Fates:
    fates = Fates()
    numbers: dict[tuple[Crowd, Part], int] = {}

    def number(crowd: Crowd, part: Part) -> int:
        if (crowd, part) not in numbers:
            numbers[crowd, part] = len(fates.groups)
            fates.groups.append(_group(ownerships, listing, crowd, part))
        return numbers[crowd, part]

    found: dict[tuple[bool, str, str], list[tuple[int, int]]] = defaultdict(list)
    try:
        # The largest first, so that they are not left out.
        concerned = sorted(listing.concerned(), key=lambda pair: -len(pair[0].names) * len(pair[1].names))
        for source, destination in concerned:
            budget.spend(_COST)
            for from_part, to_part, protocol, change in listing.between(source, destination):
                budget.spend()
                pair = number(source, from_part), number(destination, to_part)
                found[change.after, protocol, port_words(change)].append(pair)
    except Exhausted:
        fates.is_complete = False
    single = {place for (crowd, _), place in numbers.items() if _size(ownerships, crowd) == 1}
    rows = rows_of_pairs(found, single)
    fates.rows = list(_readable(rows, fates.groups))
    fates.is_complete &= len(fates.rows) == len(rows)
    return fates


def _readable(rows: list[Row], groups: list[Group]) -> Iterator[Row]:
    """Yield as many rows as pages show, those with the most peers first."""
    left = _MOST_ENDS
    for row in sorted(rows, key=lambda row: -sum(groups[one].peers for one in row.sources))[:MOST_ROWS]:
        left -= sum(len(groups[one].ends) for one in (*row.sources, *row.destinations))
        if left < 0 and row is not rows[0]:
            return
        yield row


def _merged(pairs: Iterable[tuple[_Item, _Item]], single: Collection[_Item]) -> list[_Product[_Item]]:
    """Pairs as few products of sources and destinations.

    The `single` ones cannot mean themselves, so that they may stand on both sides: three that reach each other are one
    product.
    """
    sources_of: dict[_Item, set[_Item]] = defaultdict(set)
    for source, destination in pairs:
        sources_of[destination].add(source)
    sending = set().union(*sources_of.values())
    together: dict[frozenset[_Item], set[_Item]] = defaultdict(set)
    for destination, sources in sources_of.items():
        is_free = destination in single and destination in sending
        together[frozenset(sources | {destination} if is_free else sources)].add(destination)
    return [product for sources, some in together.items() for product in _plain(sources, some, sources_of)]


def _plain(
    sources: frozenset[_Item], destinations: set[_Item], sources_of: Mapping[_Item, set[_Item]]
) -> Iterator[_Product[_Item]]:
    """A product as it is where its sources reach each other; else each destination that was added to them apart."""
    if sources <= destinations:
        yield sources, frozenset(destinations)
        return
    added = {destination for destination in destinations if sources_of[destination] != sources}
    if destinations - added:
        yield sources, frozenset(destinations - added)
    for destination in added:
        yield frozenset(sources_of[destination]), frozenset({destination})


def rows_of_pairs(found: Pairs, single: Collection[int]) -> list[Row]:
    """Return the fewest rows for pairs of groups, by opening or closing, protocol and port."""
    ways: dict[tuple[bool, tuple[int, ...], tuple[int, ...]], list[tuple[str, str]]] = defaultdict(list)
    for (opens, protocol, port), pairs in sorted(found.items()):
        for sources, destinations in _merged(pairs, single):
            ways[opens, tuple(sorted(sources)), tuple(sorted(destinations))].append((protocol, port))
    return [Row(sources, to, tuple(some), opens) for (opens, sources, to), some in ways.items()]


def _group(ownerships: Ownerships, listing: Listing, crowd: Crowd, part: Part) -> Group:
    if part is None:
        return Group(crowd.names, _size(ownerships, crowd))
    return Group(tuple(end for name in crowd.names for end in listing.ends(name, part)), 0)


def _size(ownerships: Ownerships, crowd: Crowd) -> int:
    """Return the number of peers of a crowd's owners."""
    return sum(len(peers_of(ownerships, name)) for name in crowd.names)
