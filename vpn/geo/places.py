"""Towns by name, without a network: all with more than 15,000 people (GeoNames, CC BY 4.0).

The module `tables` makes them when the environment is prepared:

- places.tsv: a town's folded names between bars, its name, its area's code, its country's, latitude, longitude, people;
  the largest towns come first;
- areas.tsv, countries.tsv: the code of a state or province, or of a country, and its names, the usual one first.

The tables are searched where the kernel has them: no process holds their 34,000 towns as objects.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, NamedTuple

from vpn.geo.distance import Point

TABLES: Final = Path(sys.prefix) / "share" / "vpn-portal" / "geo"
# A town so many times as large as every other of its name is meant where nothing else is said.
_CLEARLY: Final = 10
# Letters that decompose into nothing.
_LETTERS: Final = str.maketrans(
    {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i"}
)


class Place(NamedTuple):
    """A town, with its area's code (GeoNames' first division, such as US.IL) and its country's (ISO 3166-1)."""

    name: str
    area_code: str
    country: str
    point: Point
    people: int

    @property
    def area(self) -> str:
        """The state or province; "" if there is none."""
        return _names_of(self.area_code, "areas")[0]

    @property
    def label(self) -> str:
        """The full name, which finds this place again."""
        area, country = self.area, _names_of(self.country, "countries")[0]
        return ", ".join(part for part in (self.name, area if area != self.name else "", country) if part)


def folded(text: str) -> str:
    """Return a name without case, accents and punctuation: "Köln" and "KOLN" are both `koln`."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    letters = "".join(one for one in plain if not unicodedata.combining(one))
    return " ".join(re.findall(r"\w+", letters))


def find_places(text: str) -> list[Place]:
    """Return the places that a text may mean, the largest first; none without the tables.

    A text is a name; an area, a country or both may follow after commas, such as "Springfield, Illinois, US".
    """
    name, *within = [folded(part) for part in text.split(",")]
    within = [part for part in within if part]
    if not name or not has_towns():
        return []
    found: dict[str, Place] = {}
    for place in _named(name):
        if all(_lies_within(place, part) for part in within):
            found.setdefault(place.label, place)
    return list(found.values())


def has_towns() -> bool:
    """Were the tables made with this environment?"""
    return (TABLES / "places.tsv").exists()


def clearly_meant(found: list[Place]) -> Place | None:
    """Return the only place of those found, or the one much larger than the others; None if it may be several."""
    if not found:
        return None
    others = max((place.people for place in found[1:]), default=0)
    return found[0] if found[0].people >= _CLEARLY * others else None


def _lies_within(place: Place, part: str) -> bool:
    names = (place.country, *_names_of(place.country, "countries"), *_names_of(place.area_code, "areas"))
    return part in map(folded, names)


def _named(name: str) -> list[Place]:
    table, key = _table("places"), f"|{name}|".encode()
    places = []
    at = table.find(key)
    while at != -1:
        line, end = _line_at(table, at)
        places.append(_read(line))
        at = table.find(key, end)
    return places


def _names_of(code: str, of: str) -> list[str]:
    """Return the names of an area or a country; one empty name if the code is not known."""
    table = _table(of)
    at = table.find(f"\n{code}\t".encode())
    return _line_at(table, at + 1)[0].split("\t")[1:] if at != -1 else [""]


def _line_at(table: mmap, at: int) -> tuple[str, int]:
    """Return the line of a table around a position, and where it ends."""
    begin, end = table.rfind(b"\n", 0, at) + 1, table.find(b"\n", at)
    return table[begin:end].decode(), end


def _read(line: str) -> Place:
    _, name, area, country, latitude, longitude, people = line.split("\t")
    return Place(name, f"{country}.{area}", country, Point(float(latitude), float(longitude)), int(people))


@cache
def _table(name: str) -> mmap:
    with (TABLES / f"{name}.tsv").open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)
