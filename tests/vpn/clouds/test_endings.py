"""Servers of a cloud that does not answer: what was never ordered goes, and what may exist is looked for."""

from __future__ import annotations

import pytest

from portal.exceptions import Conflict, NotPossible
from portal.models import Organization
from tests.factories import BY
from tests.lab.ec2 import Ec2
from tests.vpn.clouds.made import hurry, make_instance, the_node, work
from vpn.actions.instances.instance import delete_instance
from vpn.actions.servers.account import remove_account
from vpn.actions.servers.server import forget_server
from vpn.choices import NodeState
from vpn.models import CloudAccount, CloudNode, Instance, Region, Server
from vpn.presenters.servers import node_sentence

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("servers")]
SILENT = "http://127.0.0.1:9"


def silence(account: CloudAccount, endpoint: str = SILENT) -> None:
    """Let the cloud not answer any more."""
    CloudAccount.objects.filter(pk=account.pk).update(endpoint=endpoint)


@pytest.mark.parametrize(
    "fault",
    [{"endpoint": SILENT}, {"provider": "nothing"}, {"secret_sealed": "of-no-key"}],
    ids=lambda fault: next(iter(fault)),
)
def test_what_was_never_ordered_goes_without_the_cloud(
    organization: Organization, region: Region, account: CloudAccount, fault: dict[str, str]
) -> None:
    CloudAccount.objects.filter(pk=account.pk).update(**fault)
    instance = make_instance(organization, region)
    work()
    assert the_node().node_id == ""
    delete_instance(Instance.objects.get(pk=instance.pk), by=BY)
    work()
    assert not Server.objects.filter(region=region).exists()
    remove_account(account, by=BY)


def test_what_was_refused_goes_too(ec2: Ec2, organization: Organization, region: Region, account: CloudAccount) -> None:
    ec2.refuse("RunInstances", "VcpuLimitExceeded")
    instance = make_instance(organization, region)
    work()
    silence(account)
    delete_instance(Instance.objects.get(pk=instance.pk), by=BY)
    work()
    assert not CloudNode.objects.exists()


def test_an_order_without_an_answer_is_looked_for_and_that_is_said(
    ec2: Ec2, organization: Organization, region: Region, account: CloudAccount
) -> None:
    instance = make_instance(organization, region)
    ec2.refuse("RunInstances", "InternalError", 500)
    work()
    silence(account)
    delete_instance(Instance.objects.get(pk=instance.pk), by=BY)
    hurry()
    work()
    assert the_node().state == NodeState.REMOVING
    assert "not known whether its order had an effect" in node_sentence(the_node())
    with pytest.raises(NotPossible, match=r"is being removed\. It is not known"):
        forget_server(the_node().server, by=BY)
    with pytest.raises(Conflict, match=r"has servers that are being removed\. It is not known"):
        remove_account(account, by=BY)
    silence(account, ec2.endpoint)
    work()
    assert not CloudNode.objects.exists()
