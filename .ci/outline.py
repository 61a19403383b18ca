"""Makes the map's outline (`make outline`) from Natural Earth's land at 1:110m, in the public domain.

The file is in the npm package world-atlas, which is not needed at run time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vpn.geo.distance import Point  # noqa: E402  (found by the line above)
from vpn.geo.projection import project  # noqa: E402

Line = list[tuple[float, float]]
# In pixels of the drawing: what a simpler line may differ, and the smallest island.
_TOLERANCE: Final = 0.7
_ISLAND: Final = 3.0


def main(atlas: Path) -> None:
    """Write the committed file."""
    (ROOT / "templates" / "vpn" / "regions" / "land.svg").write_text(_land(atlas))


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
