"""New rules without effect: an earlier rule shadows them, or no peer matches their source or destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vpn.reach.effects import Budget, Exhausted
from vpn.reach.hub import Hub
from vpn.reach.merging import merge
from vpn.reach.reachability import are_alike

# Each takes a comparison of its own.
_MOST_TRIED = 10
_MOST_PEERS = 2000


def idle_rules(before: Hub, after: Hub, principals: Mapping[str, str], budget: Budget | None = None) -> list[int]:
    """Return the numbers (from 1) of new rules in `after` that could be left out; empty if there are many new rules.

    The last one is tried first: of two equal rules, the later one is idle.
    """
    merged = merge(before.rules, after.rules)
    positions = [place for place in range(len(merged.rules)) if merged.after >> place & 1]
    new = [number for number, place in enumerate(positions) if not merged.before >> place & 1]
    if len(new) > _MOST_TRIED or len(after.peers) > _MOST_PEERS:
        return []
    found, left = [], after
    for number in reversed(new):
        without = replace(left, rules=(*left.rules[:number], *left.rules[number + 1 :]))
        try:
            if are_alike(without, left, principals, budget):
                found.append(number + 1)
                left = without
        except Exhausted:
            continue
    return sorted(found)
