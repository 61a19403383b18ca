"""Distances against published ones, and round trips against the stated model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn.geo.distance import BASE_MS, MS_FOR_1000_KM, Point, expected_round_trip, great_circle_km

FRANKFURT, NEW_YORK, SINGAPORE = Point(50.11, 8.68), Point(40.71, -74.01), Point(1.35, 103.82)
POINTS = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        (FRANKFURT, NEW_YORK, 6202),
        (FRANKFURT, SINGAPORE, 10_265),
        (Point(0, 179.5), Point(0, -179.5), 111),
        (Point(90, 0), Point(-90, 77), 20_015),
    ],
)
def test_the_great_circle_has_the_known_length(one: Point, other: Point, kilometres: float) -> None:
    assert great_circle_km(one, other) == pytest.approx(kilometres, rel=0.005)


def test_the_round_trip_is_a_fixed_part_and_one_for_the_distance() -> None:
    assert expected_round_trip(FRANKFURT, FRANKFURT) == BASE_MS
    assert expected_round_trip(FRANKFURT, NEW_YORK) == pytest.approx(BASE_MS + MS_FOR_1000_KM * 6.2, abs=0.5)


@given(POINTS, POINTS)
def test_it_is_the_same_in_both_directions_and_never_longer_than_half_the_earth(one: Point, other: Point) -> None:
    assert great_circle_km(one, other) == pytest.approx(great_circle_km(other, one), abs=1e-6)
    assert 0 <= great_circle_km(one, other) <= 20_016
