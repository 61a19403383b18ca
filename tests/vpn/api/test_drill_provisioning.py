"""One tenant asks for hubs without end: a few are provisioned at once, and another tenant's comes right behind them.

DRILL=1: 500 requests instead of 25.
"""

from __future__ import annotations

import os

import pytest

from portal.models import Organization, Quota
from portal.models.quota import DEFAULT_LIMITS
from tests.factories import BY
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.instances.instance import delete_instance
from vpn.models import Instance, Operation, Region

REQUESTS = 500 if os.environ.get("DRILL") else 25


def ask(caller: Caller, number: int) -> int:
    """Ask for an instance; the status."""
    body = {"name": f"Hub {number}", "hostname": f"drill{number}", "region": "local"}
    answer = caller.post("/instances", body)
    if answer.status_code != 201:
        refused(answer, 409, "quota-provisioning")
    status: int = answer.status_code
    return status


@pytest.mark.django_db
def test_requests_without_end_take_no_more_than_the_quota(
    api: Caller,
    stranger_api: Caller,
    region: Region,
    organization: Organization,
) -> None:
    at_once = DEFAULT_LIMITS[Quota.PROVISIONING]
    outcomes = [ask(api, number) for number in range(REQUESTS)]
    under_way = Operation.objects.filter(kind="provision", state="running").count()
    print(f"{REQUESTS} requested, {outcomes.count(201)} accepted, {under_way} under way before the neighbour's")
    assert outcomes == [201] * at_once + [409] * (REQUESTS - at_once)
    assert ask(stranger_api, REQUESTS) == 201


@pytest.mark.django_db
def test_asking_deleting_and_asking_again_takes_no_more_than_the_quota_of_instances(
    api: Caller, region: Region, organization: Organization
) -> None:
    """An instance that is being deleted counts until its hub is gone."""
    Organization.objects.update(most_instances=3)
    for number in range(3):
        assert ask(api, number) == 201
        delete_instance(Instance.objects.get(name=f"Hub {number}"), by=BY)
    body = {"name": "Hub 3", "hostname": "one-more", "region": "local"}
    told_so = told(api.post("/instances", body), 409)
    assert told_so["code"] == "quota-instances"
