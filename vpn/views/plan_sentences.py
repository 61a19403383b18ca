"""Differences of reach as sentences: "Anna and Ben reach Berlin office on TCP 443"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

# Longer lists of names end in "and 12 others".
_MOST_NAMES = 4
_INTERNET = "any"

# A line of a plan: source, destination, protocol, port, before, after.
PlanLine = Mapping[str, Any]


class Way(NamedTuple):
    """Over what somebody is reached."""

    protocol: str
    port: str

    def __str__(self) -> str:
        first, _, last = self.port.partition("-")
        number = f"{first} to {last}" if last else first
        if self.protocol == "any":
            return f"on port{'s' if last else ''} {number}, TCP and UDP" if number else ""
        if self.protocol in {"icmp", "icmpv6"}:
            return f"by {'ICMP' if self.protocol == 'icmp' else 'ICMPv6'}, such as ping"
        return f"on {self.protocol.upper()} {number}" if number else f"over {self.protocol.upper()}"


def sentences(lines: Iterable[PlanLine], name: Callable[[str], str], *, opens: bool) -> list[str]:
    """What the lines say that open something, or those that close something; `name` puts an end into words."""
    by_way: dict[Way, list[tuple[str, str]]] = defaultdict(list)
    for line in lines:
        if line["after"] == opens:
            by_way[Way(line["protocol"], line["port"])].append((line["source"], line["destination"]))
    said = []
    for way, pairs in sorted(by_way.items()):
        said += [_begun(f"{words} {way}".rstrip()) for words in _spoken(pairs, name, opens=opens)]
    return said


def taken_sentences(lines: Iterable[Mapping[str, Any]], name: Callable[[str], str]) -> list[str]:
    """Which networks go to the site with the more specific route: a sentence for each pair of sites."""
    together: dict[tuple[str, str, str, bool], list[str]] = defaultdict(list)
    for line in lines:
        together[line["by"], line["within"], line["of"], line["begins"]].append(line["network"])
    said = []
    for (by, within, of, begins), networks in together.items():
        goes = "go" if len(networks) > 1 else "goes"
        if begins:
            said.append(f"{joined(networks)} {goes} to {name(by)}; the rest of {within} to {name(of)}")
        else:
            said.append(f"{joined(networks)} {goes} to {name(by)} no more: {within} of {name(of)} contains it")
    return said


def joined(names: list[str]) -> str:
    """Names as a list in a sentence, a long one cut short."""
    if len(names) > _MOST_NAMES:
        names = [*names[: _MOST_NAMES - 1], f"{len(names) - _MOST_NAMES + 1} others"]
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _spoken(pairs: list[tuple[str, str]], name: Callable[[str], str], *, opens: bool) -> Iterable[str]:
    """Who reaches whom, or does no more: as few sentences as say it."""
    sources_of: dict[str, list[str]] = defaultdict(list)
    for source, destination in pairs:
        sources_of[destination].append(source)
    circle = {source for source, _ in pairs}
    among = [pair for pair in pairs if pair[1] in circle and pair[0] != pair[1]]
    if len(circle) > 1 and len(set(among)) == len(circle) * (len(circle) - 1):
        yield f"{_listed(circle, name)} {_reach(2, opens=opens)} each other"
        sources_of = {end: some for end, some in sources_of.items() if end not in circle}
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for destination, sources in sources_of.items():
        together[tuple(sources)].append(destination)
    for some, destinations in together.items():
        yield f"{_listed(some, name)} {_reach(len(some), opens=opens)} {_listed(destinations, name)}"


def _listed(ends: Iterable[str], name: Callable[[str], str]) -> str:
    """These ends as a list: people and sites by name, then networks, and the internet last."""
    ordered = sorted(ends, key=lambda end: (end == _INTERNET, "/" in end, name(end)))
    return joined([name(end) for end in ordered])


def _begun(words: str) -> str:
    """With a capital at its begin, unless that is a name, which is as it is."""
    return words[0].upper() + words[1:] if words.startswith(("the ", "somebody ")) else words


def _reach(count: int, *, opens: bool) -> str:
    if opens:
        return "reaches" if count == 1 else "reach"
    return "no longer reaches" if count == 1 else "no longer reach"
