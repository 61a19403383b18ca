"""Which region is closest to most sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from vpn.geo.distance import Point, expected_round_trip
from vpn.geo.spots import Spot

Key = TypeVar("Key", bound=str)


class Trip(NamedTuple):
    """The expected round trip to a spot, in milliseconds."""

    spot: Spot
    milliseconds: float


class Trips(NamedTuple):
    """The expected round trips from a region to all sites, nearest first."""

    nearest_first: list[Trip]

    @property
    def median(self) -> float:
        """Half of the sites are at most so far away."""
        half = sum(trip.spot.sites for trip in self.nearest_first) / 2
        reached = 0
        for trip in self.nearest_first:
            reached += trip.spot.sites
            if reached >= half:
                return trip.milliseconds
        raise ValueError("no sites")

    @property
    def worst(self) -> Trip:
        """The farthest site's."""
        return self.nearest_first[-1]


def trips_from(region: Point, spots: Sequence[Spot]) -> Trips | None:
    """Return the expected round trips from a region to every spot; None without any."""
    trips = (Trip(spot, expected_round_trip(region, spot.point)) for spot in spots)
    return Trips(sorted(trips, key=lambda trip: trip.milliseconds)) if spots else None


def in_order(regions: Mapping[Key, Trips]) -> list[Key]:
    """Return the regions, best first: by median, then by the worst; whole milliseconds, since a model knows no more."""
    return sorted(regions, key=lambda key: (*_figures(regions[key]), key))


def _figures(trips: Trips) -> tuple[int, int]:
    return round(trips.median), round(trips.worst.milliseconds)
