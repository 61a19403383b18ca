"""Orders that are refused, killed or lost on the way: never two servers for one request, and none left."""

from __future__ import annotations

from typing import Any

import pytest

from portal.models import Organization
from tests.factories import BY, make_organization
from tests.lab.ec2 import Ec2
from tests.vpn.clouds.made import failure_of, hurry, make_instance, settings_for, steps_of, the_node, work
from vpn.actions.instances.instance import delete_instance, retry_instance
from vpn.actions.servers.account import set_account
from vpn.actions.servers.region import add_region
from vpn.choices import Driver
from vpn.drivers.cloud.cloud import Cloud
from vpn.models import CloudAccount, CloudNode, Instance, Region

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("servers")]


def test_a_worker_that_is_killed_between_call_and_note_leaves_no_second_node(
    ec2: Ec2, organization: Organization, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance(organization, region)
    order = Cloud.order

    def killed(self: Cloud, *arguments: Any) -> Any:
        order(self, *arguments)
        raise SystemExit

    monkeypatch.setattr(Cloud, "order", killed)
    with pytest.raises(SystemExit):
        work()
    assert len(ec2.nodes()) == 1
    assert the_node().node_id == ""
    monkeypatch.setattr(Cloud, "order", order)
    hurry()
    work()
    assert len(ec2.nodes()) == 1
    assert the_node().node_id == ec2.nodes()[0].id
    assert steps_of(instance)["server"] == "succeeded"


def test_an_order_whose_answer_is_lost_is_looked_for_before_it_is_repeated(
    ec2: Ec2, organization: Organization, region: Region
) -> None:
    make_instance(organization, region)
    ec2.lose("RunInstances")
    work()
    assert len(ec2.nodes()) == 1
    assert ec2.calls.count("RunInstances") == 1


@pytest.mark.parametrize("code", ["InternalError", "ImageServiceFailure"])
def test_an_order_that_had_no_effect_is_repeated_once_it_would_be_listed(
    ec2: Ec2, organization: Organization, region: Region, code: str
) -> None:
    make_instance(organization, region)
    ec2.refuse("RunInstances", code, 500)
    work()
    assert ec2.calls.count("RunInstances") == 1
    hurry()
    work()
    assert ec2.calls.count("RunInstances") == 2
    assert len(ec2.nodes()) == 1


@pytest.mark.parametrize("cause", ["too few rights", "cannot be opened"])
def test_a_failure_that_says_nothing_about_a_lost_order_does_not_let_it_be_repeated_at_once(
    ec2: Ec2, organization: Organization, region: Region, account: CloudAccount, cause: str
) -> None:
    instance = make_instance(organization, region)
    ec2.refuse("RunInstances", "InternalError", 500)
    work()
    if cause == "cannot be opened":
        CloudAccount.objects.update(secret_sealed="damaged")
    else:
        ec2.refuse("DescribeInstances", "UnauthorizedOperation", 403)
    work()
    assert cause in failure_of(instance)
    CloudAccount.objects.update(secret_sealed=account.secret_sealed)
    retry_instance(Instance.objects.get(pk=instance.pk), by=BY)
    work()
    assert ec2.calls.count("RunInstances") == 1, "the first order may have had its effect"
    hurry()
    work()
    assert ec2.calls.count("RunInstances") == 2
    assert len(ec2.nodes()) == 1


def test_a_failed_order_of_an_instance_that_is_deleted_leaves_nothing(
    ec2: Ec2, organization: Organization, region: Region
) -> None:
    instance = make_instance(organization, region)
    ec2.refuse("RunInstances", "VcpuLimitExceeded")
    work()
    assert list(ec2.groups()) != []
    delete_instance(Instance.objects.get(pk=instance.pk), by=BY)
    work()
    assert (ec2.nodes(), ec2.groups()) == ([], {})
    assert not CloudNode.objects.exists()


def test_a_lost_order_of_an_instance_that_is_deleted_meanwhile_leaves_nothing(
    ec2: Ec2, organization: Organization, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance(organization, region)
    order = Cloud.order

    def deleted_meanwhile(self: Cloud, *arguments: Any) -> Any:
        delete_instance(Instance.objects.get(pk=instance.pk), by=BY)
        return order(self, *arguments)

    monkeypatch.setattr(Cloud, "order", deleted_meanwhile)
    work()
    hurry()
    work()
    assert ec2.calls.count("RunInstances") == 1
    assert (ec2.nodes(), ec2.groups()) == ([], {})
    assert not CloudNode.objects.exists()


def test_ten_instances_at_once_in_three_regions_with_failing_calls(ec2: Ec2, region: Region) -> None:
    regions, organizations = [region], [make_organization(name) for name in ("Acme", "Globex", "Initech")]
    for code in ("par", "ams"):
        made = add_region(code, code, driver=Driver.CLOUD, by=BY)
        set_account(made, by=BY, secret="x", **settings_for(ec2, capacity=2))
        regions.append(made)
    ec2.lose("RunInstances")
    ec2.refuse("DescribeInstances", "Unavailable", 503)
    instances = [make_instance(organizations[number // 4], regions[number % 3], f"hub{number}") for number in range(10)]
    work()
    hurry()
    work()
    assert {steps_of(one)["server"] for one in instances} == {"succeeded"}
    # 4 in one region on one server, 3 in each of the others with 2 on a server.
    assert len(ec2.nodes()) == 1 + 2 + 2
    for one in instances:
        delete_instance(Instance.objects.get(pk=one.pk), by=BY)
    work()
    assert (ec2.nodes(), ec2.groups()) == ([], {})
