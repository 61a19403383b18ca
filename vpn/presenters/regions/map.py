"""The world map of a choice of regions: where its marks and their names stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Final, NamedTuple

from vpn.geo.distance import Point
from vpn.geo.projection import HEIGHT, WIDTH, project
from vpn.presenters.regions.located import Located

# The room that a name takes, in pixels of the drawing.
_LETTER: Final = 13.0
_LINE: Final = 26.0
_GAP: Final = 15.0
_MOST_NAME: Final = 24


@dataclass(frozen=True)
class RegionMark:
    """A region on the map. `state` is `suggested`, `open` or `closed`; `name` is "" where there is no room for it."""

    pk: str
    name: str
    state: str
    is_chosen: bool
    x: float
    y: float
    name_x: float
    anchor: str


class SiteMark(NamedTuple):
    """One or several sites on the map; `r` is the mark's radius."""

    x: float
    y: float
    r: float


@dataclass(frozen=True)
class WorldMap:
    """The marks; sites are drawn below the regions."""

    regions: list[RegionMark]
    sites: list[SiteMark]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Placed:
    """A region that has a place."""

    pk: str
    name: str
    point: Point
    state: str
    is_chosen: bool


def world_map(regions: Sequence[Placed], where: Located) -> WorldMap:
    """Draw these regions, the most important first: it keeps its name where names would overlap."""
    taken: list[tuple[float, float, float]] = []
    marks = [_mark(region, taken) for region in regions]
    sites = [
        SiteMark(*project(spot.point), round(4 + 1.5 * log10(spot.sites), 1))
        for spot in sorted(where.spots.found, key=lambda spot: -spot.sites)
    ]
    # The last one drawn is on top.
    return WorldMap(marks[::-1], sites)


def _mark(region: Placed, taken: list[tuple[float, float, float]]) -> RegionMark:
    x, y = project(region.point)
    name = region.name if len(region.name) <= _MOST_NAME else f"{region.name[: _MOST_NAME - 1]}…"
    length = len(name) * _LETTER
    is_right = x + _GAP + length <= WIDTH
    left = x + _GAP if is_right else x - _GAP - length
    if any(abs(y - line) < _LINE and left < end and begin < left + length for begin, end, line in taken):
        name = ""
    else:
        taken.append((left, left + length, y))
    name_x = x + _GAP if is_right else x - _GAP
    anchor = "start" if is_right else "end"
    return RegionMark(region.pk, name, region.state, region.is_chosen, x, y, round(name_x, 1), anchor)
