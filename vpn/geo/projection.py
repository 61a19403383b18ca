"""The map's projection: Natural Earth (Šavrič, Patterson, Jenny 2011), cut off where nobody has a site."""

from __future__ import annotations

from math import pi, radians
from typing import Final, NamedTuple

from vpn.geo.distance import Point

WIDTH: Final = 720
# The map's northern and southern edges, in degrees: without Antarctica.
_NORTH: Final = 83.0
_SOUTH: Final = -56.0


class Pixel(NamedTuple):
    """A point of the drawing, from its upper left corner."""

    x: float
    y: float


def _plain(point: Point) -> tuple[float, float]:
    """Return the projected point for an earth of radius 1."""
    square = radians(point.latitude) ** 2
    fourth, tenth = square**2, square**5
    width = 0.8707 - 0.131979 * square - 0.013791 * fourth + 0.003971 * tenth - 0.001529 * tenth * square
    height = 1.007226 + 0.015085 * square - 0.044475 * square**3 + 0.028874 * fourth**2 - 0.005916 * tenth
    return radians(point.longitude) * width, radians(point.latitude) * height


_SCALE: Final = WIDTH / (2 * pi * 0.8707)
_TOP: Final = _plain(Point(_NORTH, 0))[1]
HEIGHT: Final = round((_TOP - _plain(Point(_SOUTH, 0))[1]) * _SCALE)


def project(point: Point) -> Pixel:
    """Return where a point is in the drawing; points beyond its edges are moved to them."""
    latitude = min(_NORTH, max(_SOUTH, point.latitude))
    x, y = _plain(Point(latitude, point.longitude))
    return Pixel(round(WIDTH / 2 + x * _SCALE, 1), round((_TOP - y) * _SCALE, 1))
