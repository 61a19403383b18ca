"""What a revision changed, in words: which settings, rules, records and sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vpn.actions.activity.change_words import listed_names, rules_words
from vpn.revisions.sections import Document

_COLUMNS: Final = {
    "name": "name",
    "mtu": "MTU",
    "pool_v4": "pool",
    "pushed_routes": "pushed routes",
    "public_dns": "DNS servers",
    "split_dns": "servers of the domains",
    "domains": "domains",
    "firewall_policy": "policy between peers",
}


def words_between(before: Document, after: Document) -> list[str]:
    """The differences, one sentence without its end for each kind."""
    words = rules_words(before.rules, after.rules) if before.rules != after.rules else []
    columns = [label for name, label in _COLUMNS.items() if before.settings.get(name) != after.settings.get(name)]
    if set(before.records) != set(after.records):
        columns.append("DNS records")
    if columns:
        columns[0] = f"{columns[0][0].upper()}{columns[0][1:]}"
        words.append(f"{listed_names(columns, most=len(columns))} changed")
    return words + _site_words(before, after)


def _site_words(before: Document, after: Document) -> list[str]:
    come, gone = after.sites.keys() - before.sites.keys(), before.sites.keys() - after.sites.keys()
    moved = {pk for pk in before.sites.keys() & after.sites.keys() if before.sites[pk] != after.sites[pk]}
    names: Mapping[str, str] = {**before.names, **after.names}
    found = []
    for ids, one, act in ((come, "", "connected"), (gone, "", "disconnected"), (moved, "Subnets of ", "changed")):
        if ids:
            named = listed_names(sorted(names.get(f"site:{pk}", "a former site") for pk in ids))
            found.append(f"{one}{named} {act}")
    return found
