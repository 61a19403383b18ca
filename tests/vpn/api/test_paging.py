"""Lists in pages."""

from __future__ import annotations

import re
import time

import pytest
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Organization
from tests import factories
from tests.vpn.api.caller import BASE, Caller, refused, told
from vpn.models import Instance, Peer


def test_pages_follow_their_links(api: Caller, instance: Instance, member: Membership) -> None:
    made = [str(factories.make_client_peer(instance, member, f"device {n}").pk) for n in range(5)]
    seen, path = [], f"/instances/{instance.pk}/peers?type=client&limit=2"
    for _ in range(3):
        response = api.get(path)
        seen.append([peer["id"] for peer in told(response, 200)])
        link = re.fullmatch(r'<http://testserver(/api/v1/vpn)([^>]*)>; rel="next"', response.headers.get("Link", ""))
        path = link[2] if link else ""
    assert seen == [made[:2], made[2:4], made[4:]]
    assert path == ""


def test_a_full_last_page_has_no_link(api: Caller, instance: Instance, member: Membership) -> None:
    factories.make_client_peer(instance, member)
    assert "Link" not in api.get(f"/instances/{instance.pk}/peers?limit=1").headers


def test_a_list_that_changes_meanwhile_shows_nothing_twice(api: Caller, organization: Organization) -> None:
    sites = [factories.make_site(organization) for _ in range(4)]
    first = api.get("/sites?limit=2")
    api.delete(f"/sites/{sites[0].pk}")
    factories.make_site(organization)
    rest = told(api.get(_next(first)), 200)
    assert [site["id"] for site in rest] == [str(site.pk) for site in sites[2:]]


def test_operations_are_paged_from_the_newest(api: Caller, instance: Instance) -> None:
    api.delete(f"/instances/{instance.pk}")
    first = api.get(f"/instances/{instance.pk}/operations?limit=1")
    assert [one["kind"] for one in told(first, 200)] == ["destroy"]
    assert [one["kind"] for one in told(api.get(_next(first)), 200)] == ["provision"]


def test_short_lists_are_paged_too(api: Caller, organization: Organization) -> None:
    site = factories.make_site(organization, subnets=["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"])
    first = api.get(f"/site/{site.pk}/subnets?limit=2")
    assert len(told(first, 200)) == 2
    last = api.get(_next(first))
    assert [one["subnet"] for one in told(last, 200)] == ["10.3.0.0/24"]
    assert "Link" not in last.headers


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", ""])
def test_a_limit_out_of_range_is_refused(api: Caller, db: None, limit: str) -> None:
    assert list(refused(api.get(f"/sites?limit={limit}"), 422)["errors"]) == ["limit"]


def test_a_made_up_cursor_is_refused(api: Caller, organization: Organization) -> None:
    for _ in range(2):
        factories.make_site(organization)
    other_list = _next(api.get("/sites?limit=1")).partition("cursor=")[2]
    for cursor in ("x", "eyJhIjoxfQ:1:2", "%00", other_list + "x"):
        assert list(refused(api.get(f"/sites?cursor={cursor}"), 422)["errors"]) == ["cursor"]
    assert list(refused(api.get(f"/users?cursor={other_list}"), 422)["errors"]) == ["cursor"]


def test_a_list_takes_a_constant_number_of_queries(
    api: Caller, organization: Organization, instance: Instance, member: Membership
) -> None:
    from django.db import connection

    def queries(path: str) -> int:
        told(api.get(path), 200)
        with CaptureQueriesContext(connection) as captured:
            told(api.get(path), 200)
        return len(captured)

    paths = [
        "/instances",
        f"/instances/{instance.pk}/peers",
        f"/instances/{instance.pk}/operations",
        "/sites",
        "/users",
    ]

    def more() -> None:
        second = factories.make_instance(organization)
        for one in (instance, second):
            factories.make_client_peer(one, factories.make_member(organization))
            factories.make_site_peer(one, factories.make_site(organization))

    more()
    more()
    before = [queries(path) for path in paths]
    for _ in range(3):
        more()
    assert [queries(path) for path in paths] == before
    assert max(before) <= 12


def test_a_thousand_peers_come_at_once(api: Caller, instance: Instance, member: Membership) -> None:
    first = factories.make_client_peer(instance, member)
    fields = {"instance": instance, "type": "client", "member": member, "changed_generation": 1}
    Peer.objects.bulk_create(
        Peer(host=n, public_key=f"{n:043}=", preshared_key_sealed="x", delivered_digest="x", **fields)
        for n in range(3, 1002)
    )
    path = f"/instances/{instance.pk}/peers?limit=1000"
    told(api.get(path), 200)
    began = time.process_time()
    shown = told(api.get(path), 200)
    assert (len(shown), shown[0]["id"]) == (1000, str(first.pk))
    assert time.process_time() - began < 2


def _next(response: object) -> str:
    """The path below the base path that a Link header leads to."""
    link: str = response["Link"]  # type: ignore[index]
    return link.partition(BASE)[2].partition(">")[0]
