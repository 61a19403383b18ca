"""Points with a number of sites; many points become few, so that pages stay small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import atan2, cos, degrees, floor, hypot, radians, sin
from typing import Final, NamedTuple

from vpn.geo.distance import Point

# Degrees of the cells in which sites are counted as one. Each contains whole cells of the one before.
_CELLS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class Spot(NamedTuple):
    """Sites at one point, or close to each other: their mean point, their number, and a name."""

    point: Point
    sites: int
    name: str


class Spots(NamedTuple):
    """Spots, and the size in degrees of the cells that were merged; 0 where none was."""

    found: list[Spot]
    cell: float

    @property
    def sites(self) -> int:
        """The number of sites."""
        return sum(spot.sites for spot in self.found)


def merged(spots: Sequence[Spot], most: int) -> Spots:
    """Merge spots of the same cell, in the smallest cells that leave at most `most` spots (or in the largest)."""
    found, cell = list(spots), 0.0
    for cell in _CELLS if len(found) > most else ():
        found = _in_cells(found, cell)
        if len(found) <= most:
            break
    return Spots(found, cell)


def _in_cells(spots: Iterable[Spot], cell: float) -> list[Spot]:
    cells: defaultdict[tuple[int, int], list[Spot]] = defaultdict(list)
    for spot in spots:
        cells[floor(spot.point.latitude / cell), floor(spot.point.longitude / cell)].append(spot)
    return [_one(several) for several in cells.values()]


def _one(several: list[Spot]) -> Spot:
    largest = max(several, key=lambda spot: spot.sites)
    if len(several) == 1:
        return largest
    return Spot(_mean(several), sum(spot.sites for spot in several), largest.name)


def _mean(several: list[Spot]) -> Point:
    """Return the mean point; a mean of vectors, so that the date line and the poles need no care."""
    x = y = z = 0.0
    for (latitude, longitude), sites, _ in several:
        north, east = radians(latitude), radians(longitude)
        x += sites * cos(north) * cos(east)
        y += sites * cos(north) * sin(east)
        z += sites * sin(north)
    return Point(degrees(atan2(z, hypot(x, y))), degrees(atan2(y, x)))
