"""The connections that a change opens and closes, grouped: "380 of 380 peers lose all other peers"."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.figures import grouped
from vpn.presenters.activity.plan_sentences import Way
from vpn.presenters.lists import MOST_NAMES, joined, shortened
from vpn.reach.fates import rows_of_pairs

_INTERNET = "any"
_Name = Callable[[str], str]


@dataclass(frozen=True)
class Ends:
    """One side of a row in words. If the words are a count, `names` lists them, and `more` counts the unlisted ones."""

    words: str
    names: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class GroupRow:
    """A group of sources that begins or ceases to reach a group of destinations."""

    who: Ends
    verb: str
    whom: Ends
    way: str
    opens: bool
    weight: int


def rows_of(plan: Mapping[str, Any], name: _Name) -> list[GroupRow]:
    """The rows of a plan (as Plan.document has it), the largest groups first."""
    fates = plan.get("fates", {})
    if not fates.get("rows"):
        fates = _of_lines(plan.get("reachability", []))
    total = (fates["counts"] or {}).get("total")
    rows = [_row(row, fates["groups"], total, name) for row in fates["rows"]]
    return sorted(rows, key=lambda row: (-row.weight, row.who.words, row.whom.words, row.way))


def counts_of(plan: Mapping[str, Any]) -> list[str]:
    """How many peers lose or gain access, in sentences."""
    counts = plan.get("fates", {}).get("counts")
    if not counts:
        return []
    return [
        words % {"count": grouped(count), "total": grouped(counts["total"])}
        for words, count in (
            (_cut_off(counts["cut_off"]), counts["cut_off"]),
            (_losing(counts["losing"]), counts["losing"]),
            (_gaining(counts["gaining"]), counts["gaining"]),
        )
        if count
    ]


def _cut_off(count: int) -> str:
    return ngettext(
        "%(count)s of %(total)s peers loses all other peers", "%(count)s of %(total)s peers lose all other peers", count
    )


def _losing(count: int) -> str:
    return ngettext(
        "%(count)s of %(total)s peers loses a part of what it reaches",
        "%(count)s of %(total)s peers lose a part of what they reach",
        count,
    )


def _gaining(count: int) -> str:
    return ngettext(
        "%(count)s of %(total)s peers reaches more than before",
        "%(count)s of %(total)s peers reach more than before",
        count,
    )


def _of_lines(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Groups for a plan that has only lines: each end is a group of its own."""
    numbers: dict[str, int] = {}
    found: dict[tuple[bool, str, str], list[tuple[int, int]]] = defaultdict(list)
    for line in lines:
        pair = tuple(numbers.setdefault(line[side], len(numbers)) for side in ("source", "destination"))
        found[line["after"], line["protocol"], line["port"]].append((pair[0], pair[1]))
    several = {one for pairs in found.values() for one, other in pairs if one == other}
    single = set(numbers.values()) - several
    rows = [row._asdict() for row in rows_of_pairs(found, single)]
    return {"groups": [{"ends": [end], "count": 1, "peers": 0} for end in numbers], "rows": rows, "counts": None}


def _row(row: Mapping[str, Any], groups: list[Mapping[str, Any]], total: int | None, name: _Name) -> GroupRow:
    sources, destinations = set(row["sources"]), set(row["destinations"])
    some = [groups[number] for number in sorted(sources)]
    who = _ends(some, total, name)
    count = sum(group["count"] for group in some)
    is_circle = sources <= destinations
    rest = _ends([groups[number] for number in sorted(destinations - (sources if is_circle else set()))], None, name)
    if is_circle:
        inner = _("the other peers of the same owner") if count == 1 else _("each other")
        rest = Ends(joined([inner, rest.words]) if rest.words else inner, rest.names, rest.more)
    return GroupRow(
        who=replace(who, words=who.words[0].upper() + who.words[1:]) if who.words == _("a former member") else who,
        verb=_verb(count, opens=row["opens"]),
        whom=rest,
        way=_ways(row["ways"]),
        opens=row["opens"],
        weight=sum(group["peers"] or group["count"] for group in some),
    )


def _verb(count: int, *, opens: bool) -> str:
    if opens:
        return ngettext("reaches", "reach", count)
    return ngettext("no longer reaches", "no longer reach", count)


def _ways(ways: Iterable[Iterable[str]]) -> str:
    words = [str(Way(*way)) for way in ways]
    return "" if "" in words else shortened(words)


def _ends(groups: list[Mapping[str, Any]], total: int | None, name: _Name) -> Ends:
    """Groups in words: their names if they are few, else how many there are of each kind."""
    ends = [end for group in groups for end in group["ends"]]
    count = sum(group["count"] for group in groups)
    if not count:
        return Ends("")
    # People and sites by name, then networks, and the internet last.
    ends.sort(key=lambda end: (end == _INTERNET, "/" in end, name(end).casefold()))
    if count <= MOST_NAMES:
        return Ends(shortened([name(end) for end in ends]))
    peers = sum(group["peers"] for group in groups)
    is_all = peers == total and not _others(ends)
    words = _("All %(count)s peers") % {"count": grouped(peers)} if is_all else _counted(ends, count)
    return Ends(words, tuple(name(end) for end in ends), count - len(ends))


def _others(ends: list[str]) -> bool:
    """Is any of these ends a network or the internet, rather than a peer?"""
    return any("/" in end or end == _INTERNET for end in ends)


def _counted(ends: list[str], count: int) -> str:
    kinds = Counter(_kind(end) for end in ends)
    words = {
        "user": ngettext("%(count)s person", "%(count)s people", kinds["user"]),
        "site": ngettext("%(count)s site", "%(count)s sites", kinds["site"]),
        "net": ngettext("%(count)s network", "%(count)s networks", kinds["net"]),
    }
    parts = [text % {"count": grouped(kinds[kind])} for kind, text in words.items() if kinds[kind]]
    if count > len(ends):
        parts.append(_("%(count)s more") % {"count": grouped(count - len(ends))})
    if kinds[_INTERNET]:
        parts.append(_("the internet"))
    return shortened(parts)


def _kind(end: str) -> str:
    return _INTERNET if end == _INTERNET else "net" if "/" in end else end.partition(":")[0]
