"""Merge two lists of rules into one, with common rules once."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from vpn.wire.rules import Rule


class Merged(NamedTuple):
    """The rules of both lists in order, and a bit mask for each list of the rules in it."""

    rules: list[Rule]
    before: int
    after: int


def merge(before: Sequence[Rule], after: Sequence[Rule]) -> Merged:
    """Merge both lists; an equal rule appears once, regardless of its id."""
    rules: list[Rule] = []
    ours = theirs = 0
    for is_common, old, new in _stretches([_key(rule) for rule in before], [_key(rule) for rule in after]):
        ours |= _bits(len(rules), len(old))
        rules.extend(before[index] for index in old)
        if is_common:
            theirs |= _bits(len(rules) - len(old), len(old))
        else:
            theirs |= _bits(len(rules), len(new))
            rules.extend(after[index] for index in new)
    return Merged(rules, ours, theirs)


def _stretches(before: Sequence[Hashable], after: Sequence[Hashable]) -> Iterator[tuple[bool, range, range]]:
    """What the lists have in common and what not, in order: where it stands in each."""
    old = new = 0
    for old_start, new_start in _common(before, after):
        if old < old_start or new < new_start:
            yield False, range(old, old_start), range(new, new_start)
        yield True, range(old_start, old_start + 1), range(new_start, new_start + 1)
        old, new = old_start + 1, new_start + 1
    yield False, range(old, len(before)), range(new, len(after))


def _common(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Pairs of places with the same key, rising in both lists: what begins alike, what ends alike, the most between.

    The first of several with one key is paired with the first of them on the other side, and so on. Then the longest
    rising run is kept (patience sorting): the time is n log n, however often keys come again.
    """
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    places: dict[Hashable, deque[int]] = defaultdict(deque)
    for place in range(start, len(after) - end):
        places[after[place]].append(place)
    pairs = [
        (place, places[before[place]].popleft()) for place in range(start, len(before) - end) if places[before[place]]
    ]
    head = [(place, place) for place in range(start)]
    tail = [(len(before) - rest, len(after) - rest) for rest in range(end, 0, -1)]
    return [*head, *_rising(pairs), *tail]


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many of the pairs as can be whose second numbers rise; the first ones do."""
    lowest: list[int] = []  # the lowest second number that a run of each length ends in
    ends: list[int] = []  # and the pair that it belongs to
    former: list[int | None] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(lowest, place)
        former.append(ends[length - 1] if length else None)
        if length == len(lowest):
            lowest.append(place)
            ends.append(number)
        else:
            lowest[length], ends[length] = place, number
    kept: list[tuple[int, int]] = []
    at = ends[-1] if ends else None
    while at is not None:
        kept.append(pairs[at])
        at = former[at]
    return kept[::-1]


def _key(rule: Rule) -> Hashable:
    return rule.action, rule.protocol, rule.ports, rule.source, rule.destination


def _bits(first: int, count: int) -> int:
    return ((1 << count) - 1) << first
