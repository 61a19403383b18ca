"""Words that plans share: protocols and ports, lists of names, and networks that get another owner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

# Longer lists of names end in "and 12 others".
MOST_NAMES = 4


class Way(NamedTuple):
    """The protocol and ports of a flow."""

    protocol: str
    port: str

    def __str__(self) -> str:
        first, _, last = self.port.partition("-")
        number = f"{first} to {last}" if last else first
        if self.protocol == "any":
            return f"on port{'s' if last else ''} {number}, TCP and UDP" if number else ""
        if self.protocol in {"icmp", "icmpv6"}:
            return f"by {'ICMP' if self.protocol == 'icmp' else 'ICMPv6'}, such as ping"
        if self.protocol == "other":
            return "over protocols other than TCP, UDP and ICMP"
        return f"on {self.protocol.upper()} {number}" if number else f"over {self.protocol.upper()}"


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


def name_sentences(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which names the hub answers differently, and whom it asks for others, a sentence each."""
    return [_record_sentence(change) if change["kind"] == "record" else _domain_sentence(change) for change in changes]


def _record_sentence(change: Mapping[str, Any]) -> str:
    if not change["after"]:
        return f"{change['name']} is no longer answered by the hub"
    instead = f" instead of {joined([*change['before']])}" if change["before"] else ""
    return f"{change['name']} is answered with {joined([*change['after']])}{instead}"


def _domain_sentence(change: Mapping[str, Any]) -> str:
    what = f"Names in {change['name']}" if change["name"] else "Names that the hub does not know"
    if not change["after"]:
        return f"{what} are asked of the servers for all other names"
    instead = f" instead of {joined([*change['before']])}" if change["before"] else ""
    return f"{what} are asked of {joined([*change['after']])}{instead}"


def diverted_sentences(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which networks of the internet go through the hub, a sentence each."""
    return [
        f"{change['network']} goes through the hub, out to the internet, for devices with a split tunnel"
        if change["begins"]
        else f"{change['network']} goes through the hub no more; devices with a split tunnel reach it directly"
        for change in changes
    ]


def joined(names: list[str]) -> str:
    """Names as a list in a sentence, a long one cut short."""
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} others"]
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
