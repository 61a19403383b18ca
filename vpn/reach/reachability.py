"""All differences in reachability between two hubs: the flows that a change allows, and those that it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from vpn.reach.effects import Budget, Comparison, Effect, Exhausted
from vpn.reach.fates import Fates, fates_of
from vpn.reach.hub import Hub
from vpn.reach.listing import Line, Listing
from vpn.reach.merging import merge
from vpn.reach.partition import AddressClass, Ownerships, Survey
from vpn.reach.rulebook import Rulebook

_Item = TypeVar("_Item")

MOST_LINES = 500
MOST_EFFECTS = 100_000
# Compared pairs: about a second of work.
_BUDGET = 600_000
# For comparisons where only the parts are limited.
_UNLIMITED = 10**9
# The cost of a network and of a rule, in pairs.
_NETWORK_COST = 10
_RULE_COST = 20


class Differences(NamedTuple):
    """The lines, whether some are missing, and the same by groups, which may still be complete."""

    lines: list[Line]
    truncated: bool
    fates: Fates


class _Compared(NamedTuple):
    """Two hubs in one address space: the owners of addresses, and the comparison."""

    ownerships: Ownerships
    book: Rulebook
    effects: Iterator[tuple[AddressClass, AddressClass, Effect]]


def differences(
    before: Hub,
    after: Hub,
    principals: Mapping[str, str],
    *,
    most: int = MOST_LINES,
    budget: Budget | None = None,
) -> Differences:
    """Return the differences between two hubs; `principals` maps a peer's id to its owner (`user:ID`, `site:ID`).

    Differences beyond the remaining `budget` are left out.
    """
    budget = budget or Budget(_UNLIMITED)
    try:
        ownerships, book, changes = _compared(before, after, principals, budget)
    except Exhausted:
        return Differences([], truncated=True, fates=Fates(is_complete=False))
    effects, is_complete = _gathered(changes, MOST_EFFECTS)
    found = {(source, destination): effect for source, destination, effect in effects}
    lines, is_told = _gathered(Listing(ownerships, found, budget.part(_BUDGET)).lines(), most)
    # Groups from a partial comparison would be wrong, so there are only lines then.
    policy = before.allows, after.allows
    fates = fates_of(ownerships, found, policy, book, budget, _BUDGET) if is_complete else Fates(is_complete=False)
    return Differences(sorted(set(lines)), truncated=not (is_complete and is_told), fates=fates)


def lines_of(
    owner: str, before: Hub, after: Hub, principals: Mapping[str, str], *, most: int = MOST_LINES
) -> list[Line]:
    """Return the differences for the flows that one owner begins; at most `most`."""
    budget = Budget(_UNLIMITED)
    ownerships, _, changes = _compared(before, after, principals, budget, owner)
    effects, _ = _gathered(changes, MOST_EFFECTS)
    found = {(source, destination): effect for source, destination, effect in effects}
    lines, _ = _gathered(Listing(ownerships, found, budget.part(_BUDGET)).lines(owner), most)
    return sorted(set(lines))


def are_alike(before: Hub, after: Hub, principals: Mapping[str, str], budget: Budget | None = None) -> bool:
    """Return True if every flow passes both hubs or neither. Raises Exhausted."""
    compared = _compared(before, after, principals, budget or Budget(_UNLIMITED))
    return next(compared.effects, None) is None


def _compared(before: Hub, after: Hub, principals: Mapping[str, str], budget: Budget, owner: str = "") -> _Compared:
    """Compare two hubs: all flows, or those that `owner` begins."""
    _spend_survey(before, after, budget)
    merged = merge(before.rules, after.rules)
    active = merged.before, merged.after
    book = Rulebook(merged.rules)
    ownerships = Survey(before, after, book, active, principals).ownerships()
    kinds = dict.fromkeys(kind for held in ownerships.values() for kind in held)
    comparison = Comparison(book, active, (before.allows, after.allows), budget.part(_BUDGET))
    senders = ownerships.get(owner, {}) if owner else None
    return _Compared(ownerships, book, comparison.pairs(kinds, senders))


def _spend_survey(before: Hub, after: Hub, budget: Budget) -> None:
    """Take the steps for the survey and for merging the rules, which are known in advance. Raises Exhausted."""
    networks = sum(len(end.networks) for hub in (before, after) for end in hub.peers.values())
    budget.spend(_NETWORK_COST * networks + _RULE_COST * (len(before.rules) + len(after.rules)))


def _gathered(items: Iterator[_Item], most: int) -> tuple[list[_Item], bool]:
    """Return up to `most` items, and whether these were all."""
    gathered: list[_Item] = []
    try:
        for item in items:
            if len(gathered) == most:
                return gathered, False
            gathered.append(item)
    except Exhausted:
        return gathered, False
    return gathered, True
