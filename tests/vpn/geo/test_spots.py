"""Many points become few; no site is lost, and none moves far."""

from __future__ import annotations

import random

from vpn.geo.distance import Point, great_circle_km
from vpn.geo.spots import Spot, merged


def test_few_points_stay_as_they_are() -> None:
    spots = [Spot(Point(52.52, 13.41), 2, "Berlin"), Spot(Point(48.85, 2.35), 1, "Paris")]
    found = merged(spots, 150)
    assert (found.found, found.cell, found.sites) == (spots, 0, 3)


def test_ten_thousand_points_become_few_and_every_site_counts() -> None:
    source = random.Random(7)
    spots = [Spot(Point(source.uniform(35, 60), source.uniform(-10, 30)), 1, f"S{n}") for n in range(10_000)]
    found = merged(spots, 150)
    assert len(found.found) <= 150
    assert found.sites == 10_000
    assert found.cell == 4


def test_points_on_both_sides_of_the_date_line_keep_their_place() -> None:
    spots = [Spot(Point(-17, 179.9), 1, "Taveuni"), Spot(Point(-17, 179.7), 3, "Vuna")]
    (one,) = merged(spots, 1).found
    assert (one.sites, one.name) == (4, "Vuna")
    assert great_circle_km(one.point, Point(-17, 179.75)) < 1
