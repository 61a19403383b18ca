"""Words that plans share: over what somebody is reached, lists of names, and networks that change hands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

# Longer lists of names end in "and 12 others".
MOST_NAMES = 4


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


def joined(names: list[str]) -> str:
    """Names as a list in a sentence, a long one cut short."""
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} others"]
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
