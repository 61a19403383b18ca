"""Towns by name, from the table that is made with the environment."""

from __future__ import annotations

import pytest

from vpn.geo.places import clearly_meant, find_places, folded

CLEAR = [
    ("Berlin", "Berlin, Germany"),
    ("berlin, de", "Berlin, Germany"),
    ("Munich, Bavaria", "Munich, Bayern, Germany"),
    ("MÜNCHEN", "Munich, Bayern, Germany"),
    ("Köln", "Köln, Nordrhein-Westfalen, Germany"),
    ("Frankfurt", "Frankfurt am Main, Hessen, Germany"),
    ("Springfield, Illinois", "Springfield, Illinois, United States"),
    ("Springfield, Missouri, USA", "Springfield, Missouri, United States"),
    ("Paris, Texas, US", "Paris, Texas, United States"),
    ("London, Canada", "London, Ontario, Canada"),
    ("São Paulo", "São Paulo, Brazil"),
    ("Sao Paulo", "São Paulo, Brazil"),
    ("Lodz", "Łódź, Łódzkie, Poland"),
]


@pytest.mark.parametrize(("text", "label"), CLEAR)
def test_a_name_that_is_clear_is_found(text: str, label: str) -> None:
    place = clearly_meant(find_places(text))
    assert place is not None
    assert place.label == label
    assert find_places(place.label) == [place]


@pytest.mark.parametrize("text", ["Springfield", "Birmingham", "San José", "springfield , us"])
def test_a_name_of_several_towns_is_not_clear(text: str) -> None:
    found = find_places(text)
    assert len(found) > 1
    assert clearly_meant(found) is None
    assert [place.people for place in found] == sorted((place.people for place in found), reverse=True)
    assert len({place.label for place in found}) == len(found)


@pytest.mark.parametrize("text", ["", " ", ",", ", Germany", "Nowhere Town", "Berlin, Texas, Mars", "|", "\t", "berl"])
def test_no_other_text_is_a_town(text: str) -> None:
    assert find_places(text) == []


def test_coordinates_are_the_towns() -> None:
    (place,) = find_places("Springfield, Illinois")
    assert place.point == pytest.approx((39.80, -89.64), abs=0.02)
    assert (place.country, place.area) == ("US", "Illinois")


def test_names_are_compared_without_accents_and_signs() -> None:
    assert folded("  St. John's ") == folded("st john s")
    assert folded("Straße") == "strasse"
