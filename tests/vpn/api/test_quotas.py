"""Quotas, as programs meet them."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisDown

from portal.models import ApiToken, Membership, Organization, Quota
from portal.quotas import quota_use
from tests.vpn.api.caller import Caller, refused, told
from vpn.models import Instance, Peer, Region, Site


def reached(organization: Organization, quota: Quota) -> None:
    """Leave no room."""
    used = quota_use(organization, quota).used
    Organization.objects.filter(pk=organization.pk).update(**{f"most_{quota.value}": used})


@pytest.mark.parametrize("quota", [Quota.INSTANCES, Quota.PROVISIONING])
def test_an_instance_is_refused(quota: Quota, api: Caller, region: Region, organization: Organization) -> None:
    reached(organization, quota)
    body = {"name": "Paris", "hostname": "paris", "region": "local"}
    told_so = refused(api.post("/instances", body), 409, f"quota-{quota.value}")
    assert told_so["type"] == "conflict"
    assert told_so["message"].startswith("Quota reached: 0 of 0 instances are ")
    assert "Ask the portal's staff" in told_so["message"] or "ask the portal's staff" in told_so["message"]
    assert not Instance.objects.exists()


def test_provisioning_makes_room_when_one_ends(api: Caller, region: Region, organization: Organization) -> None:
    organization.most_provisioning = 1
    organization.save()
    first = told(api.post("/instances", {"name": "Paris", "hostname": "paris", "region": "local"}), 201)
    body = {"name": "Oslo", "hostname": "oslo", "region": "local"}
    told_so = refused(api.post("/instances", body), 409, "quota-provisioning")
    assert told_so["message"].startswith(
        "Quota reached: 1 of 1 instances are being provisioned. Wait for one to finish"
    )
    api.delete(f"/instances/{first['id']}")
    told(api.post("/instances", body), 201)


def test_fields_at_fault_are_named(api: Caller, site_peer: Peer, site: Site, organization: Organization) -> None:
    for quota in (Quota.SUBNETS, Quota.RULES, Quota.DNS_RECORDS):
        reached(organization, quota)
    path = f"/instances/{site_peer.instance_id}"
    more = ["10.1.0.0/24", "10.9.0.0/24"]
    record = {"name": "nas", "type": "A", "value": "10.1.0.9"}
    refusals = {
        "subnets": refused(api.put(f"/sites/{site.pk}", {"subnets": more}), 409, "quota-subnets"),
        "firewall": refused(api.put(path, {"firewall": [{"name": "one"}]}), 409, "quota-rules"),
        "dns_custom": refused(api.put(path, {"dns_custom": [record]}), 409, "quota-dns-records"),
    }
    for field, body in refusals.items():
        assert body["errors"] == {field: [body["message"]]}
    refused(api.put(f"{path}?plan=true", {"firewall": [{"name": "one"}]}), 409, "quota-rules")
    peer = f"{path}/peers/{site_peer.pk}"
    refused(api.put(peer, {"subnets": more}, If_Match=api.get(peer)["ETag"]), 409, "quota-subnets")


def test_a_refusal_is_not_kept_for_its_idempotency_key(api: Caller, organization: Organization) -> None:
    reached(organization, Quota.SITES)
    body = {"name": "Oslo", "platform": "linux"}
    refused(api.post("/sites", body, Idempotency_Key="one"), 409, "quota-sites")
    Organization.objects.update(most_sites=None)
    told(api.post("/sites", body, Idempotency_Key="one"), 201)


# Calls a minute -------------------------------------------------------------------------------------------------------


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands 20 s before the end of a minute."""
    now = [1_000_000 * 60 + 40.0]
    monkeypatch.setattr("portal.web.minute_counts.time.time", lambda: now[0])
    return now


def test_all_tokens_of_an_organization_count_together(
    admin: Membership, auditor: Membership, stranger_api: Caller, still_clock: list[float], organization: Organization
) -> None:
    Organization.objects.filter(pk=organization.pk).update(most_api_calls=4)
    callers = [Caller.of(member) for member in (admin, admin, auditor)]
    for caller in (*callers, callers[0]):
        told(caller.get("/sites"), 200)
    for caller in callers:
        answer = caller.get("/sites")
        body = refused(answer, 429, "quota-api-calls")
        assert answer["Retry-After"] == "20"
        assert body["message"].startswith("Quota reached: 4 of 4 API calls of this minute are used. Wait until")
    told(stranger_api.get("/sites"), 200)
    still_clock[0] += 20
    told(callers[0].get("/sites"), 200)


def test_the_settings_page_shows_the_calls_of_this_minute(
    api: Caller, still_clock: list[float], organization: Organization
) -> None:
    for _ in range(3):
        told(api.get("/sites"), 200)
    assert quota_use(organization, Quota.API_CALLS).used == 3
    still_clock[0] += 60
    assert quota_use(organization, Quota.API_CALLS).used == 0


def test_without_the_cache_nobody_is_locked_out(
    api: Caller, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    Organization.objects.update(most_api_calls=1)

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RedisDown

    for name in ("add", "incr", "get"):
        monkeypatch.setattr(f"portal.web.minute_counts.cache.{name}", fail)
    for _ in range(3):
        told(api.get("/sites"), 200)
    assert quota_use(organization, Quota.API_CALLS).used == 0


def test_a_wrong_token_uses_nothing_up(organization: Organization, member: Membership) -> None:
    refused(Caller("vpn_wrong").get("/sites"), 401)
    ApiToken.issue(member)
    assert quota_use(organization, Quota.API_CALLS).used == 0
