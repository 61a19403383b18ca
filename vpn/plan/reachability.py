"""Which flows a change lets pass, and which it ends: every difference between two hubs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from vpn.plan.effects import Budget, Comparison, Exhausted
from vpn.plan.hub import Hub
from vpn.plan.listing import Line, Listing
from vpn.plan.merging import merge
from vpn.plan.regions import Survey
from vpn.plan.rulebook import Rulebook

_Item = TypeVar("_Item")

MOST_LINES = 500
MOST_EFFECTS = 50_000
# Of pairs that are looked at: about a second's worth.
_BUDGET = 600_000


class Differences(NamedTuple):
    """The lines, and whether there is more than they say."""

    lines: list[Line]
    truncated: bool


def differences(before: Hub, after: Hub, principals: Mapping[str, str], *, most: int = MOST_LINES) -> Differences:
    """What changes between two hubs; `principals` says whose each peer is (`user:ID`, `site:ID`), by its id."""
    merged = merge(before.rules, after.rules)
    active = merged.before, merged.after
    book = Rulebook(merged.rules)
    holdings = Survey(before, after, book, active, principals).holdings()
    kinds = dict.fromkeys(kind for held in holdings.values() for kind in held)
    comparison = Comparison(book, active, (before.allows, after.allows), Budget(_BUDGET))
    effects, is_complete = _gathered(comparison.pairs(kinds), MOST_EFFECTS)
    found = {(source, destination): effect for source, destination, effect in effects}
    lines, is_told = _gathered(Listing(holdings, found, Budget(_BUDGET)).lines(), most)
    return Differences(sorted(set(lines)), truncated=not (is_complete and is_told))


def _gathered(items: Iterator[_Item], most: int) -> tuple[list[_Item], bool]:
    """Up to `most` items, and whether these were all."""
    gathered: list[_Item] = []
    try:
        for item in items:
            if len(gathered) == most:
                return gathered, False
            gathered.append(item)
    except Exhausted:
        return gathered, False
    return gathered, True
