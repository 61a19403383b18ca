"""`?plan=true`: what a change would mean, with nothing changed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.test import Client

from portal.models import Membership
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from tests.vpn.api.caller import Answer, Caller, refused, told
from vpn.actions.activity import plan_turn
from vpn.actions.activity.planning import ChangePreview, compute_plan
from vpn.actions.profiles.profile import deliver_profile
from vpn.models import ChangePlan, Instance, Peer, Site
from vpn.plan.explaining import Plan


@pytest.fixture
def laptop(instance: Instance, member: Membership) -> Peer:
    """A member's device with its profile delivered, and a site to reach."""
    make_site_peer(instance, make_site(instance.organization, name="Berlin"), ["10.1.0.0/24"])
    peer = make_client_peer(instance, member, "laptop")
    settle(instance)
    deliver_profile(peer, by=BY)
    ChangePlan.objects.all().delete()
    return peer


def test_a_rule_is_planned_in_the_words_of_rules(api: Caller, instance: Instance, laptop: Peer) -> None:
    site = instance.peers.get(type="site").site_id
    path = f"/instances/{instance.pk}"
    told(api.put(path, {"firewall_policy": "deny"}), 200)
    ends = {"source": f"user:{laptop.member_id}", "destination": f"site:{site}"}
    rule = {"name": "web", "protocol": "tcp", "port": "443", **ends}
    plan = told(api.put(f"{path}?plan=true", {"firewall": [rule]}), 200)
    difference = {**ends, "protocol": "tcp", "port": "443", "before": False, "after": True}
    assert plan == {
        "reachability": [difference],
        "outdated": [],
        "truncated": False,
        "taken": [],
        "nowhere": [],
        "names": [],
        "diverted": [],
        "exits": [],
    }
    assert told(api.get(path), 200)["firewall"] == []


def test_outdated_profiles_are_told_and_nothing_changes(api: Caller, instance: Instance, laptop: Peer) -> None:
    path = f"/instances/{instance.pk}"
    before = api.get(path)
    plan = told(api.put(f"{path}?plan=true", {"pushed_routes": ["198.51.100.0/24"]}, If_Match=before["ETag"]), 200)
    assert plan["outdated"] == [str(laptop.pk)]
    after = api.get(path)
    assert (after["ETag"], told(after, 200)["desired_generation"]) == (
        before["ETag"],
        told(before, 200)["desired_generation"],
    )
    assert told(api.get(f"{path}/peers/{laptop.pk}"), 200)["profile_state"] == "current"


def test_a_site_that_goes_or_moves_is_planned(api: Caller, instance: Instance, laptop: Peer) -> None:
    site = instance.peers.get(type="site")
    path = f"/instances/{instance.pk}/peers/{site.pk}"
    moved = told(api.put(f"{path}?plan=true", {"subnets": ["10.2.0.0/24"]}), 200)
    opened = {(one["destination"], one["after"]) for one in moved["reachability"]}
    assert {("10.1.0.0/24", False), ("10.2.0.0/24", True)} <= opened
    assert moved["outdated"] == [str(laptop.pk)]
    gone = told(api.delete(f"{path}?plan=true"), 200)
    assert {one["after"] for one in gone["reachability"]} == {False}
    assert told(api.get(path), 200)["subnets"] == ["10.1.0.0/24"]


def test_a_plan_is_refused_like_the_change(api: Caller, auditor_api: Caller, instance: Instance, laptop: Peer) -> None:
    path = f"/instances/{instance.pk}?plan=true"
    assert "mtu" in refused(api.put(path, {"mtu": 7}), 422)["errors"]
    refused(api.put(path, {"mtu": 1400}, If_Match='"stale"'), 412, "stale")
    refused(auditor_api.put(path, {"mtu": 1400}), 403)
    assert "plan" in refused(api.put(f"/instances/{instance.pk}?plan=maybe", {"mtu": 1400}), 422)["errors"]
    other = make_site_peer(instance, make_site(instance.organization, name="Paris"), ["10.3.0.0/24"])
    refused(api.put(f"/instances/{instance.pk}/peers/{other.pk}?plan=true", {"subnets": ["10.1.0.0/24"]}), 409)


def test_a_plan_of_nothing_is_empty(api: Caller, instance: Instance) -> None:
    plan = told(api.put(f"/instances/{instance.pk}?plan=1", {"name": "Another name"}), 200)
    assert plan == {
        "reachability": [],
        "outdated": [],
        "truncated": False,
        "taken": [],
        "nowhere": [],
        "names": [],
        "diverted": [],
        "exits": [],
    }
    assert told(api.get(f"/instances/{instance.pk}"), 200)["name"] == instance.name


def test_a_plan_of_a_new_site_creates_none(api: Caller, instance: Instance) -> None:
    """Tried without a key and with one: the answer to the question is not kept for the change."""
    body = {"name": "Lyon", "platform": "linux", "subnets": ["10.9.0.0/24"]}
    for headers in ({}, {"Idempotency_Key": "one"}):
        plan = told(api.post("/sites?plan=true", body, **headers), 200)
        assert plan["reachability"] == plan["outdated"] == []
        assert not Site.objects.filter(name="Lyon").exists()
    refused(api.post("/sites?plan=true", {**body, "subnets": ["300.0.0.0/8"]}), 422)
    told(api.post("/sites", body, Idempotency_Key="one"), 201)
    refused(api.post("/sites?plan=true", body), 409)


def test_a_plan_of_dns_says_what_is_answered_and_who_is_asked(api: Caller, instance: Instance) -> None:
    path = f"/instances/{instance.pk}"
    nas = {"name": "nas.acme.example", "type": "A", "value": "10.1.0.5"}
    added = told(api.put(f"{path}?plan=true", {"dns_custom": [nas]}), 200)["names"]
    assert added == [{"kind": "record", "name": "nas.acme.example", "before": [], "after": ["10.1.0.5 (A)"]}]
    told(api.put(path, {"dns_custom": [nas]}), 200)
    moved = told(api.put(f"{path}?plan=true", {"dns_custom": [{**nas, "value": "10.1.0.6"}]}), 200)["names"]
    assert [(one["before"], one["after"]) for one in moved] == [(["10.1.0.5 (A)"], ["10.1.0.6 (A)"])]
    servers = {"split_dns": ["10.1.0.53"], "domains": ["corp.example"], "public_dns": ["9.9.9.9"]}
    asked = told(api.put(f"{path}?plan=true", servers), 200)["names"]
    assert {(one["name"], *one["after"]) for one in asked} == {("", "9.9.9.9"), ("corp.example", "10.1.0.53")}
    assert told(api.put(f"{path}?plan=true", {"dns_custom": [nas]}), 200)["names"] == []


def test_a_plan_of_a_public_network_says_that_it_goes_through_the_hub(api: Caller, instance: Instance) -> None:
    path, change = f"/instances/{instance.pk}", {"pushed_routes": ["198.51.100.0/24"]}
    assert told(api.put(f"{path}?plan=true", change), 200)["diverted"] == [
        {"network": "198.51.100.0/24", "begins": True}
    ]
    told(api.put(path, change), 200)
    ended = told(api.put(f"{path}?plan=true", {"pushed_routes": []}), 200)["diverted"]
    assert ended == [{"network": "198.51.100.0/24", "begins": False}]


def test_an_organization_has_one_large_plan_worked_out_at_a_time_and_leaves_threads_to_others(
    api: Caller, admin_browser: Client, instance: Instance, stranger: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, other_api = make_instance(stranger.organization, name="Elsewhere"), Caller.of(stranger)
    monkeypatch.setattr(plan_turn, "compute_small_plan", lambda found: None)

    def plan_of(caller: Caller, of: Instance) -> Answer:
        return caller.put(f"/instances/{of.pk}?plan=true", {"mtu": 1300})

    def page() -> str:
        """The settings' form without scripts: its preview comes with the whole page."""
        path = f"/instances/{instance.pk}/settings/"
        return admin_browser.post(path, {"name": instance.name, "mtu": "1300", "preview": "true"}).content.decode()

    def meanwhile(found: Sequence[ChangePreview]) -> Plan:
        monkeypatch.setattr(plan_turn, "compute_plan", compute_plan)
        busy = plan_of(api, instance)
        assert refused(busy, 503)["code"] == "plan-busy"
        assert busy["Retry-After"]
        assert "The preview failed" in page()
        told(plan_of(other_api, other), 200)
        return compute_plan(found)

    monkeypatch.setattr(plan_turn, "compute_plan", meanwhile)
    told(plan_of(api, instance), 200)
    told(plan_of(api, instance), 200)
    assert "The preview failed" not in page()
