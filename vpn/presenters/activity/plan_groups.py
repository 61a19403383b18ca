"""What a change opens and closes, by groups of the same fate: "380 of 380 peers lose all other peers"."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vpn.presenters.activity.plan_sentences import MOST_NAMES, Way, joined
from vpn.reach.fates import rows_of_pairs

_INTERNET = "any"
_Name = Callable[[str], str]


@dataclass(frozen=True)
class Ends:
    """One side of a row in words, and where these are a number, all of their names (`more` beyond them)."""

    words: str
    names: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class GroupRow:
    """Who reaches whom from now on, or no more."""

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
    """How many peers lose or gain what, in sentences."""
    counts = plan.get("fates", {}).get("counts")
    if not counts:
        return []
    words = (
        ("cut_off", "lose", "all other peers"),
        ("losing", "lose", "a part of what they reach"),
        ("gaining", "reach", "more than before"),
    )
    return [
        f"{counts[kind]:,} of {counts['total']:,} peers {verb}{'s' if counts[kind] == 1 else ''} "
        f"{what.replace('they reach', 'it reaches') if counts[kind] == 1 else what}"
        for kind, verb, what in words
        if counts[kind]
    ]


def _of_lines(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The lines of a plan that has no groups, each end a group of its own."""
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
    is_one = sum(group["count"] for group in some) == 1
    is_circle = sources <= destinations
    rest = _ends([groups[number] for number in sorted(destinations - (sources if is_circle else set()))], None, name)
    if is_circle:
        inner = "the other peers of the same owner" if is_one else "each other"
        rest = Ends(f"{inner} and {rest.words}" if rest.words else inner, rest.names, rest.more)
    reach = "reaches" if is_one else "reach"
    return GroupRow(
        who=replace(who, words=who.words[0].upper() + who.words[1:]) if who.words.startswith("a former ") else who,
        verb=reach if row["opens"] else f"no longer {reach}",
        whom=rest,
        way=_ways(row["ways"]),
        opens=row["opens"],
        weight=sum(group["peers"] or group["count"] for group in some),
    )


def _ways(ways: Iterable[Iterable[str]]) -> str:
    words = [str(Way(*way)) for way in ways]
    return "" if "" in words else joined(words)


def _ends(groups: list[Mapping[str, Any]], total: int | None, name: _Name) -> Ends:
    """Some groups in words: by name where they are few, else how many of which kind."""
    ends = [end for group in groups for end in group["ends"]]
    count = sum(group["count"] for group in groups)
    if not count:
        return Ends("")
    # People and sites by name, then networks, and the internet last.
    ends.sort(key=lambda end: (end == _INTERNET, "/" in end, name(end).casefold()))
    if count <= MOST_NAMES:
        return Ends(joined([name(end) for end in ends]))
    peers = sum(group["peers"] for group in groups)
    words = f"All {total:,} peers" if peers == total and not _others(ends) else _counted(ends, count)
    return Ends(words, tuple(name(end) for end in ends), count - len(ends))


def _others(ends: list[str]) -> bool:
    """Is there anything among them that is no peer?"""
    return any("/" in end or end == _INTERNET for end in ends)


def _counted(ends: list[str], count: int) -> str:
    kinds = Counter(_kind(end) for end in ends)
    parts = [
        f"{kinds[kind]:,} {one if kinds[kind] == 1 else many}"
        for kind, one, many in (("user", "person", "people"), ("site", "site", "sites"), ("net", "network", "networks"))
        if kinds[kind]
    ]
    parts += [f"{count - len(ends):,} more"] if count > len(ends) else []
    return joined([*parts, "the internet"] if kinds[_INTERNET] else parts)


def _kind(end: str) -> str:
    return _INTERNET if end == _INTERNET else "net" if "/" in end else end.partition(":")[0]
