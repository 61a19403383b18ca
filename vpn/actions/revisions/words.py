"""What a revision changed: which settings, rules, records and sites (vpn.told has the words)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from portal.told import MOST_NAMES, Told, told, told_names
from vpn.actions.activity.change_words import rules_words
from vpn.revisions.sections import Document

# The columns of an instance, by the names that a change has for them.
_COLUMNS: Final = {
    "name": "name",
    "mtu": "mtu",
    "pool_v4": "pool",
    "pushed_routes": "pushed_routes",
    "public_dns": "public_dns",
    "split_dns": "split_dns",
    "domains": "domains",
    "firewall_policy": "firewall_policy",
    "management_services": "management_services",
    "management_sources": "management_sources",
}


def words_between(before: Document, after: Document) -> list[Told]:
    """The differences, one sentence without its end for each kind."""
    words = rules_words(before.rules, after.rules) if before.rules != after.rules else []
    columns = [name for column, name in _COLUMNS.items() if before.settings.get(column) != after.settings.get(column)]
    if set(before.records) != set(after.records):
        columns.append("dns_custom")
    if columns:
        words.append(told("settings-changed", names=columns, begins=True))
    return words + _site_words(before, after)


def _site_words(before: Document, after: Document) -> list[Told]:
    come, gone = after.sites.keys() - before.sites.keys(), before.sites.keys() - after.sites.keys()
    moved = {pk for pk in before.sites.keys() & after.sites.keys() if before.sites[pk] != after.sites[pk]}
    names: Mapping[str, str] = {**before.names, **after.names}
    found: list[Told] = []
    for ids, code in ((come, "sites-connected"), (gone, "sites-disconnected"), (moved, "subnets-changed")):
        if ids:
            known = sorted(names[f"site:{pk}"] for pk in ids if f"site:{pk}" in names)
            former: list[Any] = [told("former-site")] * (len(ids) - len(known))
            entry = told_names(code, known, len(ids))
            entry["names"] = (entry["names"] + former)[:MOST_NAMES]
            found.append(entry)
    return found
