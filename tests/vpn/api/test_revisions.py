"""Revisions by the API: list, read, compare, return."""

from __future__ import annotations

import pytest

from portal.models import ApiToken, Membership, Organization
from tests.factories import BY, make_instance, make_site, make_site_peer
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.instances.settings import update_instance
from vpn.actions.sites.site import update_site
from vpn.models import Instance, Site

pytestmark = pytest.mark.django_db


@pytest.fixture
def berlin(organization: Organization, instance: Instance) -> Site:
    """A connected site: revision 2."""
    site = make_site(organization, name="Berlin")
    make_site_peer(instance, site, subnets=["10.1.0.0/24"])
    return site


@pytest.fixture
def path(instance: Instance, berlin: Site) -> str:
    """Revision 3 has a rule and a record, revision 4 neither."""
    rule = {"name": "no printing", "action": "drop", "destination": f"site:{berlin.pk}"}
    record = {"name": "nas", "type": "A", "value": "10.1.0.9"}
    update_instance(instance, firewall=[rule], dns_custom=[record], mtu=1300, by=BY)
    update_instance(instance, firewall=[], dns_custom=[], by=BY)
    return f"/instances/{instance.pk}/revisions"


def test_the_list_is_newest_first_and_paged(auditor_api: Caller, path: str) -> None:
    found = told(auditor_api.get(path), 200)
    assert [one["number"] for one in found] == [4, 3, 2, 1]
    assert found[1]["changed"] == ["Rule “no printing” added", "MTU and DNS records changed"]
    assert found[1]["actor"]["kind"] == "portal"
    first = auditor_api.get(f"{path}?limit=3")
    assert "next" in first["Link"]
    rest = auditor_api.get(first["Link"].partition("/api/v1/vpn")[2].partition(">")[0])
    assert [one["number"] for one in told(rest, 200)] == [1]


def test_one_has_its_content(auditor_api: Caller, path: str, instance: Instance, berlin: Site) -> None:
    found = told(auditor_api.get(f"{path}/3"), 200)
    assert (found["mtu"], found["pool"], found["firewall_policy"]) == (1300, instance.pool_v4, "allow")
    assert found["firewall"][0]["destination"] == f"site:{berlin.pk}"
    assert found["names"] == {f"site:{berlin.pk}": "Berlin"}
    assert found["sites"] == [{"site_id": str(berlin.pk), "name": "Berlin", "subnets": ["10.1.0.0/24"]}]
    assert found["dns_custom"][0]["value"] == "10.1.0.9"
    refused(auditor_api.get(f"{path}/99"), 404)


def test_two_are_compared(auditor_api: Caller, path: str, berlin: Site, instance: Instance, member: Membership) -> None:
    told(
        Caller.of(instance.organization.memberships.get(role="admin")).post(
            f"/instances/{instance.pk}/peers",
            {"type": "client", "user_id": str(member.pk), "device": "laptop"},
        ),
        201,
    )
    found = told(auditor_api.get(f"{path}/4/difference?before=2"), 200)
    assert [section["title"] for section in found["sections"]] == ["Settings"]
    found = told(auditor_api.get(f"{path}/4/difference"), 200)
    assert (found["before"], found["after"]) == (3, 4)
    sections = {section["title"]: section["lines"] for section in found["sections"]}
    assert sections.keys() == {"DNS", "Firewall"}
    assert sections["Firewall"][0] == {
        "label": "no printing",
        "difference": "removed",
        "before": ["1. Drop from anything to Berlin (site)"],
        "after": [],
    }
    opened = {(line["source"], line["destination"]) for line in found["reach"]["reachability"] if line["after"]}
    assert (f"user:{member.pk}", f"site:{berlin.pk}") in opened
    assert found["reach"]["names"][0]["after"] == []
    assert found["reach"]["lost"] == []


def test_the_plan_of_a_return_changes_nothing_then_it_is_done(api: Caller, path: str, berlin: Site) -> None:
    plan = told(api.post(f"{path}/3/return?plan=true"), 200)
    assert plan["names"][0]["after"] == ["10.1.0.9 (A)"]
    assert len(told(api.get(path), 200)) == 4
    made = told(api.post(f"{path}/3/return", {"note": "it was better"}), 200)
    assert (made["number"], made["returned_to"], made["note"], made["left_out"]) == (5, 3, "it was better", [])
    assert made["actor"]["kind"] == "token"
    assert told(api.get(path.removesuffix("/revisions")), 200)["firewall"][0]["name"] == "no printing"
    refused(api.post(f"{path}/3/return"), 409, "not-possible")


def test_a_stale_etag_and_a_wrong_note_are_refused(api: Caller, path: str, instance: Instance) -> None:
    etag = api.get(path.removesuffix("/revisions"))["ETag"]
    update_instance(instance, mtu=1344, by=BY)
    refused(api.post(f"{path}/3/return", {}, If_Match=etag), 412, "stale")
    refused(api.post(f"{path}/3/return", {"note": "x" * 201}), 422)
    refused(api.post(f"{path}/3/return", {"nota": "x"}), 422)
    assert len(told(api.get(path), 200)) == 5


def test_what_changes_takes_a_note(api: Caller, path: str, instance: Instance, berlin: Site) -> None:
    told(api.put(f"/instances/{instance.pk}", {"mtu": 1312, "note": "the line changed"}), 200)
    told(api.put(f"/sites/{berlin.pk}", {"subnets": ["10.1.1.0/24"], "note": "moved"}), 200)
    peer = instance.peers.get(site=berlin)
    told(api.put(f"/instances/{instance.pk}/peers/{peer.pk}", {"subnets": ["10.1.2.0/24"], "note": "again"}), 200)
    notes = [one["note"] for one in told(api.get(path), 200)]
    assert notes[:4] == ["again", "moved", "the line changed", ""]
    assert "note" in refused(api.put(f"/instances/{instance.pk}", {"mtu": 1328, "note": "x" * 201}), 422)["errors"]


def test_a_token_for_one_hub_does_not_change_a_site_that_others_follow(
    admin: Membership, path: str, instance: Instance, organization: Organization, berlin: Site
) -> None:
    make_site_peer(make_instance(organization, name="Oslo hub"), berlin, subnets=["10.1.0.0/24"])
    update_site(berlin, subnets=["10.1.5.0/24"], by=BY)
    token = ApiToken.issue(admin, instances=[instance.pk])[1]
    refused(Caller(token).post(f"{path}/3/return"), 403, "token-instances-only")


def test_another_organizations_are_not_there(stranger_api: Caller, path: str) -> None:
    for answer in (
        stranger_api.get(path),
        stranger_api.get(f"{path}/3"),
        stranger_api.get(f"{path}/3/difference"),
        stranger_api.post(f"{path}/3/return"),
    ):
        refused(answer, 404)
