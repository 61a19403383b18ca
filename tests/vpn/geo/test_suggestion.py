"""The suggested region: the lowest median over the sites, then the best worst one."""

from __future__ import annotations

from vpn.geo.distance import Point
from vpn.geo.spots import Spot
from vpn.geo.suggestion import Trips, in_order, trips_from

FRANKFURT, NEW_YORK, SINGAPORE = Point(50.11, 8.68), Point(40.71, -74.01), Point(1.35, 103.82)
BERLIN, PARIS, TOKYO = Point(52.52, 13.41), Point(48.85, 2.35), Point(35.68, 139.69)


def trips(region: Point, *spots: Spot) -> Trips:
    found = trips_from(region, spots)
    assert found is not None
    return found


def ordered(*spots: Spot) -> list[str]:
    regions = {"fra": FRANKFURT, "nyc": NEW_YORK, "sin": SINGAPORE}
    return in_order({name: trips(point, *spots) for name, point in regions.items()})


def test_the_majority_decides_and_not_the_mean() -> None:
    assert ordered(Spot(BERLIN, 1, "Berlin"), Spot(PARIS, 1, "Paris"), Spot(TOKYO, 1, "Tokyo"))[0] == "fra"
    assert ordered(Spot(BERLIN, 1, "Berlin"), Spot(TOKYO, 9, "Tokyo"))[0] == "sin"


def test_a_spot_counts_as_often_as_it_has_sites() -> None:
    found = trips(FRANKFURT, Spot(BERLIN, 5, "Berlin"), Spot(TOKYO, 4, "Tokyo"))
    assert found.median == found.nearest_first[0].milliseconds
    assert found.worst.spot.name == "Tokyo"
    more = trips(FRANKFURT, Spot(BERLIN, 4, "Berlin"), Spot(TOKYO, 5, "Tokyo"))
    assert more.median == more.worst.milliseconds


def test_with_the_same_median_the_worst_decides_and_then_the_name() -> None:
    near, far = Spot(BERLIN, 3, "Berlin"), Spot(TOKYO, 1, "Tokyo")
    east = Point(52.52, 13.42)  # as near to Berlin in whole milliseconds, and nearer to Tokyo
    west = Point(52.52, 11.5)
    assert in_order({"a": trips(west, near, far), "b": trips(east, near, far)})[0] == "b"
    assert in_order({"b": trips(east, near), "a": trips(east, near)}) == ["a", "b"]


def test_without_sites_there_is_nothing_to_compare() -> None:
    assert trips_from(FRANKFURT, []) is None
