"""Sites over the API."""

from __future__ import annotations

from uuid import uuid4

import pytest

from portal.models import Organization
from tests import factories
from tests.vpn.api.caller import Caller, refused, told
from vpn.models import Peer, Site

NEW = {"name": "Berlin", "platform": "routeros7", "subnets": ["10.1.0.0/24"]}


def test_a_site_is_created_read_changed_and_deleted(api: Caller, admin: object) -> None:
    body = told(api.post("/sites", {**NEW, "platform_version": "7.16", "latitude": 52.5, "longitude": 13.4}), 201)
    assert " ".join(body) == (
        "id name platform_version platform place latitude longitude subnets alias last_check_in created_at"
    )
    assert (body["name"], body["platform_version"], body["latitude"]) == ("Berlin", "7.16", 52.5)
    path = f"/sites/{body['id']}"
    assert told(api.get(path), 200) == body
    changed = told(api.put(path, {"place": "Alexanderplatz", "latitude": None, "longitude": None}), 200)
    assert changed == {**body, "place": "Alexanderplatz", "latitude": None, "longitude": None}
    assert told(api.put(path, {**changed, "name": "Berlin 2"}), 200)["name"] == "Berlin 2"
    assert api.delete(path).status_code == 204
    refused(api.get(path), 404)


def test_a_version_is_text_as_the_router_shows_it(api: Caller, admin: object) -> None:
    pasted = "Version:          VyOS 1.5-rolling-202411190007\nRelease train:    current"
    body = told(api.post("/sites", {**NEW, "platform": "vyos", "platform_version": pasted}), 201)
    assert body["platform_version"] == "Version: VyOS 1.5-rolling-202411190007 Release train: current"
    errors = refused(api.put(f"/sites/{body['id']}", {"platform_version": "the newest"}), 422)["errors"]
    assert "VyOS 1.4.0" in errors["platform_version"][0]
    assert list(refused(api.put(f"/sites/{body['id']}", {"platform_version": "1" * 201}), 422)["errors"])


@pytest.mark.parametrize(
    ("fault", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "two\nlines"}, {"name"}),
        ({"name": "nul\x00"}, {"name"}),
        ({"name": 7, "subnets": "10.1.0.0/24"}, {"name", "subnets"}),
        ({"platform": "toaster", "subnets": ["10.1.0.1/24"], "name": "x" * 41}, {"platform", "subnets", "name"}),
        ({"latitude": 91, "longitude": 0}, {"latitude"}),
        ({"latitude": "52", "longitude": 0}, {"latitude"}),
        ({"latitude": 52.0}, {"longitude"}),
        ({"latitude": 95.0, "longitude": 181.0}, {"latitude", "longitude"}),
        ({"id": str(uuid4())}, {"id"}),
        ({"last_check_in": None}, {"last_check_in"}),
    ],
)
def test_a_body_at_fault_names_each_field(
    api: Caller, organization: Organization, fault: dict[str, object], fields: set[str]
) -> None:
    assert set(refused(api.post("/sites", {**NEW, **fault}), 422)["errors"]) == fields


@pytest.mark.parametrize(
    ("given", "field", "limit"),
    [({"latitude": 95.0, "longitude": 2.0}, "latitude", 90), ({"latitude": 2.0, "longitude": 181.0}, "longitude", 180)],
)
def test_a_coordinate_out_of_range_is_told_the_range(
    api: Caller, organization: Organization, given: dict[str, float], field: str, limit: int
) -> None:
    errors = refused(api.post("/sites", {**NEW, **given}), 422)["errors"]
    assert errors == {field: [f"Degrees go from -{limit} to {limit}."]}


def test_a_taken_name_is_a_conflict(api: Caller, site: Site) -> None:
    assert list(refused(api.post("/sites", NEW), 409)["errors"]) == ["name"]


def test_a_site_in_use_cannot_be_deleted(api: Caller, site_peer: Peer) -> None:
    body = refused(api.delete(f"/sites/{site_peer.site_id}"), 409)
    assert site_peer.instance.name in body["message"]


def test_the_subnets_of_a_site_have_a_source(api: Caller, organization: Organization) -> None:
    site = factories.make_site(organization, subnets=["10.1.0.0/24", "10.2.0.0/24"])
    assert told(api.get(f"/site/{site.pk}/subnets"), 200) == [
        {"subnet": "10.1.0.0/24", "source": "declared"},
        {"subnet": "10.2.0.0/24", "source": "declared"},
    ]
    refused(api.get(f"/site/{uuid4()}/subnets"), 404)


def test_another_organization_sees_nothing(stranger_api: Caller, site: Site) -> None:
    path = f"/sites/{site.pk}"
    assert told(stranger_api.get("/sites"), 200) == []
    for response in (
        stranger_api.get(path),
        stranger_api.put(path, {"name": "Mine"}),
        stranger_api.delete(path),
        stranger_api.get(f"/site/{site.pk}/subnets"),
    ):
        refused(response, 404)
