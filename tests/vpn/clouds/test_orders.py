"""Servers ordered from a cloud: never two for one request, none left, and a sentence for each fault."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from portal.exceptions import InvalidInput, NotPossible
from portal.models import Organization
from tests.factories import BY, make_region
from tests.lab.ec2 import Ec2
from tests.vpn.clouds.made import Servers, failure_of, make_instance, settings_for, steps_of, the_node, work
from vpn.actions.instances.instance import delete_instance, retry_instance
from vpn.actions.instances.placement import server_in
from vpn.actions.servers.account import set_account
from vpn.actions.servers.region import add_region
from vpn.actions.servers.server import forget_server
from vpn.choices import Driver, InstanceState, NodeState, ServerState
from vpn.jobs.availability import ring_for_servers
from vpn.jobs.nodes import look_at_node, ring_for_nodes
from vpn.jobs.ordered import await_preparation
from vpn.jobs.progress import StepWaits
from vpn.models import CloudNode, Instance, Move, Region, Server

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("servers")]


def test_a_server_is_ordered_prepared_and_removed_with_its_last_instance(
    ec2: Ec2, organization: Organization, region: Region
) -> None:
    instance = make_instance(organization, region)
    assert instance.server is None
    work()
    (node,) = ec2.nodes()
    found = the_node()
    assert (found.state, found.node_id, found.server.state) == (NodeState.RUNNING, node.id, ServerState.READY)
    assert found.server.address == node.public_ip
    assert list(steps_of(instance).items())[:3] == [
        ("order", "succeeded"),
        ("boot", "succeeded"),
        ("server", "succeeded"),
    ]
    delete_instance(instance, by=BY)
    work()
    assert ec2.nodes() == []
    assert ec2.groups() == {}
    assert not Server.objects.filter(region=region).exists()
    assert not Instance.objects.exists()


def test_the_node_carries_its_tags_and_the_user_data_its_keys(
    ec2: Ec2, organization: Organization, region: Region
) -> None:
    make_instance(organization, region)
    work(prepared=False)
    (node,) = ec2.nodes()
    found = the_node()
    tags = {tag["key"]: tag["value"] for tag in node.get_tags()}
    assert tags["vpn-request"] == found.pk.hex
    assert tags["Name"].endswith(found.pk.hex)
    data = ec2.user_data(node)
    assert data.startswith("#cloud-config\n")
    assert found.server.ssh.public_key in data
    assert "openvpn" in data


def test_the_host_key_of_the_user_data_is_trusted_for_the_first_connection_alone(
    organization: Organization, region: Region, servers: Servers
) -> None:
    instance = make_instance(organization, region)
    from vpn.jobs.ordered import placed_server

    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.PROVISIONING)
    server = placed_server(instance.pk, by=BY)
    first = server.ssh.host_key
    assert the_node().host_key
    work()
    found = the_node()
    assert found.server.ssh.host_key == servers.keys[0] != first
    assert (found.host_key, found.next_host_key) == ("", "")


def test_exactly_the_ports_in_use_are_open(ec2: Ec2, organization: Organization, region: Region) -> None:
    first, second = (make_instance(organization, region, name) for name in ("hub1", "hub2"))
    work()
    assert len(ec2.nodes()) == 1, "both are on one server"
    both = {f"udp/{Instance.objects.get(pk=one.pk).wireguard_port}" for one in (first, second)}
    assert list(ec2.groups().values()) == [{"tcp/22"} | both]
    delete_instance(second, by=BY)
    work()
    assert list(ec2.groups().values()) == [{"tcp/22", f"udp/{Instance.objects.get().wireguard_port}"}]


def test_a_move_waits_until_its_ports_are_open(ec2: Ec2, organization: Organization, region: Region) -> None:
    make_instance(organization, region)
    work()
    other = make_instance(organization, make_region(), "hub2")
    operation = other.operations.get()
    Move.objects.create(instance=other, operation=operation, target=the_node().server, port_base=29000, epoch=2)
    with pytest.raises(StepWaits):
        await_preparation(the_node().server)
    look_at_node(str(the_node().server_id))
    await_preparation(the_node().server)
    (opened,) = ec2.groups().values()
    assert "udp/29000" in opened
    Instance.objects.filter(region=region).update(server=None)
    ring_for_nodes()
    assert the_node().state == NodeState.RUNNING, "a hub comes"


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("AuthFailure", 401, "enter valid ones in the cloud account"),
        ("UnauthorizedOperation", 403, "too few rights"),
        ("InsufficientInstanceCapacity", 500, "no free server t3.small/eu-central-1 at the moment"),
        ("VcpuLimitExceeded", 400, "ask for a higher quota"),
        ("InvalidAMIID.NotFound", 400, "cannot start the image"),
        ("InvalidParameterCombination", 400, "refused the order with status 400"),
    ],
)
def test_each_refusal_is_a_sentence_and_trying_again_orders(
    ec2: Ec2, organization: Organization, region: Region, code: str, status: int, words: str
) -> None:
    instance = make_instance(organization, region)
    ec2.refuse("RunInstances", code, status)
    work()
    instance.refresh_from_db()
    assert instance.state == InstanceState.FAILED
    assert words in failure_of(instance)
    assert ec2.nodes() == []
    retry_instance(instance, by=BY)
    work()
    assert len(ec2.nodes()) == 1
    assert steps_of(instance)["server"] == "succeeded"


def test_a_cloud_that_does_not_answer_fails_after_a_while_and_says_so(
    ec2: Ec2, organization: Organization, region: Region
) -> None:
    set_account(region, by=BY, secret="x", **settings_for(ec2, endpoint="http://127.0.0.1:9"))
    instance = make_instance(organization, region)
    for _ in range(12):
        work()
    assert "http://127.0.0.1:9 does not answer" in failure_of(instance)
    assert the_node().state == NodeState.FAILED


def test_a_node_that_someone_removed_is_ordered_again_on_request(
    ec2: Ec2, organization: Organization, region: Region
) -> None:
    instance = make_instance(organization, region)
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.PROVISIONING)
    from vpn.jobs.ordered import placed_server

    placed_server(instance.pk, by=BY)
    look_at_node(str(the_node().server_id))
    ec2.end_node(the_node().node_id)
    work()
    assert "is not there any more" in failure_of(instance)
    retry_instance(Instance.objects.get(pk=instance.pk), by=BY)
    work()
    (node,) = ec2.nodes()
    assert the_node().server.address == node.public_ip
    assert steps_of(instance)["server"] == "succeeded"


def test_the_last_hub_ends_with_a_server_that_does_not_answer(
    ec2: Ec2, organization: Organization, region: Region
) -> None:
    instance = make_instance(organization, region)
    work()
    Server.objects.filter(pk=the_node().server_id).update(state=ServerState.UNREACHABLE)
    delete_instance(Instance.objects.get(pk=instance.pk), by=BY)
    work()
    work()
    assert ec2.nodes() == []
    assert not CloudNode.objects.exists()


def test_a_server_that_is_being_removed_is_not_checked_and_takes_nothing(
    organization: Organization, region: Region, rung: list[Any]
) -> None:
    make_instance(organization, region)
    work()
    server = the_node().server
    Server.objects.filter(pk=server.pk).update(check_at=None)
    assert server_in(region) == server
    ring_for_servers()
    check = ("observe", "vpn.jobs.runtime.looks.begin_check", str(server.pk))
    assert rung.count(check) == 1
    CloudNode.objects.update(state=NodeState.REMOVING)
    ring_for_servers()
    assert rung.count(check) == 1
    assert server_in(region) is None


def test_an_empty_server_is_found_by_the_schedule(
    ec2: Ec2, organization: Organization, region: Region, rung: list[Any]
) -> None:
    instance = make_instance(organization, region)
    work()
    # As a move to another server does.
    Instance.objects.filter(pk=instance.pk).update(server=None, state=InstanceState.READY)
    ring_for_nodes()
    assert the_node().state == NodeState.REMOVING
    work()
    assert ec2.nodes() == []


def test_a_full_server_is_followed_by_another(ec2: Ec2, organization: Organization, region: Region) -> None:
    set_account(region, by=BY, **settings_for(ec2, capacity=2))
    for number in range(3):
        make_instance(organization, region, f"hub{number}")
        work()
    assert len(ec2.nodes()) == 2
    assert sorted(server.instances.count() for server in Server.objects.filter(region=region)) == [1, 2]


def test_a_clouds_server_is_not_forgotten_by_hand(organization: Organization, region: Region) -> None:
    make_instance(organization, region)
    work()
    with pytest.raises(NotPossible, match="last instance"):
        forget_server(the_node().server, by=BY)


@pytest.mark.parametrize(("code", "words"), [("Unavailable", "still being ordered"), ("AuthFailure", "has failed")])
def test_a_server_that_is_being_ordered_is_not_prepared_by_hand(
    ec2: Ec2, organization: Organization, region: Region, staff_browser: Client, code: str, words: str
) -> None:
    ec2.refuse("RunInstances", code, 503 if code == "Unavailable" else 401)
    make_instance(organization, region)
    work()
    server = the_node().server
    with pytest.raises(CommandError, match=words):
        call_command("server", "prepare", server.name)
    chosen = {"action": "prepare", "_selected_action": str(server.pk)}
    assert words in staff_browser.post("/admin/vpn/server/", chosen, follow=True).content.decode()
    server.refresh_from_db()
    assert (server.state, server.preparation_steps.count()) == (ServerState.NEW, 0)


def test_a_region_without_an_account_takes_none(organization: Organization, ec2: Ec2) -> None:
    bare = add_region("bare", "Bare", driver=Driver.CLOUD, by=BY)
    with pytest.raises(InvalidInput, match="no cloud account"):
        make_instance(organization, bare)
