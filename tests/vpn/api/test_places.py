"""Places in the API: towns by name, and sites that take their coordinates."""

from __future__ import annotations

from typing import Any

import pytest

from portal.models import Membership
from tests.vpn.api.caller import Caller, told

SITE = {"name": "Depot", "platform": "linux", "subnets": []}
NEAR = {"Berlin": (52.52, 13.41), "Paris": (48.85, 2.35)}


def made(api: Caller, **values: Any) -> dict[str, Any]:
    body: dict[str, Any] = told(api.post("/sites", {**SITE, **values}), 201)
    return body


def point(body: dict[str, Any]) -> tuple[float | None, float | None]:
    return body["latitude"], body["longitude"]


def near(town: str) -> Any:
    return pytest.approx(NEAR[town], abs=0.02)


def test_towns_are_found_by_name(api: Caller, member_api: Caller) -> None:
    found = told(api.get("/places?q=springfield,us"), 200)
    assert len(found) > 3
    assert all(one["place"].endswith("United States") for one in found)
    (one,) = told(member_api.get("/places?q=Springfield%2C+Illinois"), 200)
    assert (one["name"], one["area"], one["country"]) == ("Springfield", "Illinois", "US")
    assert told(api.get("/places"), 200) == []


def test_towns_come_in_pages(api: Caller) -> None:
    answer = api.get("/places?q=springfield&limit=2")
    assert len(told(answer, 200)) == 2
    assert 'rel="next"' in answer["Link"]


def test_a_site_takes_the_coordinates_of_a_clear_place_and_keeps_its_text(api: Caller, admin: Membership) -> None:
    body = made(api, place="Berlin")
    assert body["place"] == "Berlin"
    assert point(body) == near("Berlin")
    path = f"/sites/{body['id']}"
    assert point(told(api.put(path, {"place": "Paris"}), 200)) == near("Paris")
    assert point(told(api.put(path, {"place": ""}), 200)) == (None, None)


@pytest.mark.parametrize("place", ["Springfield", "Basement of building 7", ""])
def test_another_text_is_kept_without_coordinates(api: Caller, admin: Membership, place: str) -> None:
    body = made(api, place=place)
    assert (body["place"], *point(body)) == (place, None, None)


def test_coordinates_that_were_sent_are_kept(api: Caller, admin: Membership) -> None:
    body = made(api, place="Berlin", latitude=52.4, longitude=13.1)
    assert point(body) == (52.4, 13.1)
    path = f"/sites/{body['id']}"
    assert point(told(api.put(path, {"place": "Paris"}), 200)) == (52.4, 13.1)
    assert point(told(api.put(path, {"latitude": None, "longitude": None}), 200)) == (None, None)
