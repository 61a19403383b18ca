"""Where points are on the map."""

from __future__ import annotations

from vpn.geo.distance import Point
from vpn.geo.projection import HEIGHT, WIDTH, project


def test_the_equator_goes_from_edge_to_edge() -> None:
    assert (project(Point(0, -180)).x, project(Point(0, 0)).x, project(Point(0, 180)).x) == (0, WIDTH / 2, WIDTH)


def test_north_is_up_and_what_lies_beyond_the_map_is_at_its_edge() -> None:
    assert project(Point(52.5, 13.4)).y < project(Point(1.35, 103.8)).y < project(Point(-33.9, 151.2)).y
    assert project(Point(90, 0)).y == 0
    assert abs(project(Point(-90, 0)).y - HEIGHT) < 1
