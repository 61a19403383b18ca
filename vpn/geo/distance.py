"""The expected round trip between two points on the earth."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Final, NamedTuple

# The mean radius of the earth (IUGG).
_RADIUS_KM: Final = 6371.0
# Light in fibre travels 200 km in a millisecond, there and back 100 km. Cables are about 1.5 times as long as the great
# circle.
MS_FOR_1000_KM: Final = 15.0
# Access networks and routers at both ends.
BASE_MS: Final = 4.0


class Point(NamedTuple):
    """A point on the earth, in degrees."""

    latitude: float
    longitude: float


def great_circle_km(one: Point, other: Point) -> float:
    """Return the length of the shortest way over the surface, in kilometres (haversine formula)."""
    north, south = radians(one.latitude), radians(other.latitude)
    height = sin((south - north) / 2) ** 2
    width = cos(north) * cos(south) * sin(radians(other.longitude - one.longitude) / 2) ** 2
    return 2 * _RADIUS_KM * asin(min(1.0, sqrt(height + width)))


def expected_round_trip(one: Point, other: Point) -> float:
    """Return the expected round trip in milliseconds: a fixed part, and one in proportion to the distance."""
    return BASE_MS + MS_FOR_1000_KM * great_circle_km(one, other) / 1000
