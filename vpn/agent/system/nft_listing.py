"""Parser for nft(8)'s listing of a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_BLOCK: Final = re.compile(r"^\t(\w+) (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
_ELEMENTS: Final = re.compile(r"^\t\telements = \{(.*?)\}\n", re.MULTILINE | re.DOTALL)
_COUNTERS: Final = re.compile(r"^\tcounter .*?^\t\}\n+", re.MULTILINE | re.DOTALL)
_SEPARATOR: Final = re.compile(r",\s+")
_PACKETS: Final = re.compile(r"^\tcounter (\S+) \{\n\t\tpackets (\d+) bytes (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Listing:
    """A parsed table: its text without counters and elements, and by name the elements, sets and lines of chains.

    The first line of a base chain is its hook.
    """

    structure: str
    elements: dict[str, frozenset[str]]
    declarations: dict[str, str]
    chains: dict[str, list[str]]
    counters: frozenset[str]
    maps: frozenset[str]


def parse(text: str) -> Listing:
    """Parse a listing of `nft -s list table`, or of `nft -s -t`, which omits the elements."""
    elements: dict[str, frozenset[str]] = {}
    declarations: dict[str, str] = {}
    chains: dict[str, list[str]] = {}
    counters, maps = set(), set()
    for kind, name, content in _BLOCK.findall(text):
        if kind in ("set", "map"):
            found = _ELEMENTS.search(content)
            elements[name] = frozenset(_SEPARATOR.split(found[1].strip())) if found else frozenset()
            declarations[name] = _ELEMENTS.sub("", content)
            if kind == "map":
                maps.add(name)
        elif kind == "chain":
            chains[name] = [line.strip() for line in content.splitlines()]
        elif kind == "counter":
            counters.add(name)
    structure = _COUNTERS.sub("", _ELEMENTS.sub("", text))
    return Listing(structure, elements, declarations, chains, frozenset(counters), frozenset(maps))


def counted(text: str) -> dict[str, tuple[int, int]]:
    """Return packets and bytes of each counter in a listing (without -s)."""
    return {name: (int(packets), int(size)) for name, packets, size in _PACKETS.findall(text)}
