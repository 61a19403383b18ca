"""Servers ordered at Hetzner Cloud, through the portal's own driver, against its API on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from portal.models import Organization
from tests.factories import BY
from tests.lab.hetzner import IMAGE, LOCATION, SIZE, TOKEN, Hetzner
from tests.vpn.clouds.made import failure_of, hurry, make_instance, steps_of, the_node, work
from vpn.actions.instances.instance import delete_instance, retry_instance
from vpn.actions.servers.account import set_account
from vpn.actions.servers.region import add_region
from vpn.choices import Driver, InstanceState, NodeState
from vpn.drivers.cloud.base import CloudLogin, Order, Tag
from vpn.drivers.cloud.cloud import Cloud
from vpn.jobs import clouds
from vpn.jobs.clouds import remove_stray, sweep_cloud
from vpn.models import CloudAccount, CloudNode, Instance, Region, Server, StrayNode, portal_tag
from vpn.presenters import servers as shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("servers")]
EVERYONE = "0.0.0.0/0, ::/0"
TAG = Tag("0a1b2c3d", uuid4())


@pytest.fixture(scope="module")
def _played() -> Iterator[Hetzner]:
    with Hetzner() as api:
        yield api


@pytest.fixture
def hetzner(_played: Hetzner) -> Hetzner:
    """An empty project."""
    _played.reset()
    return _played


def settings_for(hetzner: Hetzner, **other: Any) -> dict[str, Any]:
    """The settings of an account."""
    unused = dict.fromkeys(("key", "network", "project", "domain"), "")
    wanted = {"provider": "hetzner", "location": LOCATION, "size": SIZE, "image": IMAGE, "endpoint": hetzner.endpoint}
    return {**unused, **wanted, "capacity": 20, "ssh_from": [], **other}


@pytest.fixture
def region(hetzner: Hetzner) -> Region:
    """A region whose servers are ordered there."""
    made = add_region("nbg", "Nuremberg", driver=Driver.CLOUD, by=BY)
    set_account(made, by=BY, secret=TOKEN, **settings_for(hetzner))
    return Region.objects.get(pk=made.pk)


def cloud_of(hetzner: Hetzner) -> Cloud:
    """The project, past the portal's rows."""
    return Cloud(CloudLogin("hetzner", "", TOKEN, location=LOCATION, endpoint=hetzner.endpoint))


def test_a_server_is_ordered_prepared_and_removed_with_its_last_instance(
    hetzner: Hetzner, organization: Organization, region: Region
) -> None:
    instance = make_instance(organization, region)
    work()
    (server,) = hetzner.servers.values()
    found = the_node()
    assert (found.state, found.node_id) == (NodeState.RUNNING, str(server["id"]))
    assert found.server.address == server["public_net"]["ipv4"]["ip"]
    assert found.server.address_v6 == f"2001:db8:{server['id']}::1"
    assert server["labels"] == {"vpn-portal": portal_tag(), "vpn-request": found.pk.hex}
    assert hetzner.user_data[server["id"]].startswith("#cloud-config\n")
    assert found.server.ssh.public_key in hetzner.user_data[server["id"]]
    assert steps_of(instance)["server"] == "succeeded"
    delete_instance(instance, by=BY)
    work()
    assert (hetzner.servers, hetzner.firewalls) == ({}, {})
    assert not Server.objects.filter(region=region).exists()


def test_its_firewall_opens_exactly_the_ports_in_use(
    hetzner: Hetzner, organization: Organization, region: Region
) -> None:
    set_account(region, by=BY, **settings_for(hetzner, ssh_from=["192.0.2.0/24", "198.51.100.0/24"]))
    make_instance(organization, region)
    second = make_instance(organization, region, "hub2")
    work()
    first, last = sorted(Instance.objects.values_list("port_base", flat=True))
    ssh = "tcp/22 from 192.0.2.0/24, 198.51.100.0/24"
    assert list(hetzner.opened().values()) == [
        {ssh, f"udp/{first} from {EVERYONE}", f"udp/{last} from {EVERYONE}"},
    ]
    (server,), (wall,) = hetzner.servers.values(), hetzner.firewalls
    assert [one["id"] for one in server["public_net"]["firewalls"]] == [wall], "from its start"
    delete_instance(second, by=BY)
    work()
    assert list(hetzner.opened().values()) == [{ssh, f"udp/{Instance.objects.get().port_base} from {EVERYONE}"}]
    hetzner.calls.clear()
    cloud_of(hetzner).open_ports(Tag(portal_tag(), the_node().pk), ["tcp/22"], [])
    cloud_of(hetzner).open_ports(Tag(portal_tag(), the_node().pk), ["tcp/22"], [])
    assert hetzner.calls == ["GET firewalls", "POST firewalls", "GET firewalls"], "only what differs is changed"


def test_an_order_whose_answer_is_lost_is_not_repeated(
    hetzner: Hetzner, organization: Organization, region: Region
) -> None:
    make_instance(organization, region)
    hetzner.lose("POST servers")
    work()
    assert hetzner.calls.count("POST servers") == 1
    assert the_node().node_id == str(next(iter(hetzner.servers)))


def test_a_second_order_of_a_request_yields_the_same_server(hetzner: Hetzner) -> None:
    order = Order(TAG, 0, SIZE, IMAGE, "#cloud-config\n{}\n", ports=("tcp/22",))
    cloud = cloud_of(hetzner)
    assert cloud.order(order).node_id == cloud.order(order).node_id
    assert len(hetzner.servers) == len(hetzner.firewalls) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((401, "unauthorized", "unable to authenticate"), "hetzner does not accept the credentials"),
        ((403, "forbidden", "insufficient permissions for this request"), "too few rights"),
        ((403, "token_readonly", "token is only allowed to perform GET requests"), "too few rights"),
        ((403, "resource_limit_exceeded", "server limit exceeded"), "ask for a higher quota"),
        ((412, "resource_unavailable", "error during placement"), f"no free server {SIZE}/{LOCATION} at the moment"),
        ((412, "placement_error", "error during placement"), f"no free server {SIZE}/{LOCATION} at the moment"),
        ((422, "invalid_input", "invalid input", ("image",)), f"cannot start the image {IMAGE}"),
        ((422, "invalid_input", "invalid input", ("server_type",)), f"no size {SIZE} in this location"),
        ((422, "invalid_input", "unsupported location for server type"), f"no size {SIZE} in this location"),
        ((422, "invalid_server_type", "server type 1 is deprecated"), f"no size {SIZE} in this location"),
        ((422, "invalid_input", "invalid input", ("location",)), f"no location {LOCATION}"),
        ((422, "invalid_input", "invalid input", ("user_data",)), "refused the order with status 422"),
    ],
)
def test_each_refusal_is_a_sentence_and_trying_again_orders(
    hetzner: Hetzner, organization: Organization, region: Region, fault: tuple[Any, ...], words: str
) -> None:
    instance = make_instance(organization, region)
    hetzner.refuse("POST servers", *fault)
    work()
    instance.refresh_from_db()
    assert instance.state == InstanceState.FAILED
    assert words in failure_of(instance)
    assert hetzner.servers == {}
    retry_instance(instance, by=BY)
    work()
    assert len(hetzner.servers) == 1
    assert steps_of(instance)["server"] == "succeeded"


@pytest.mark.parametrize(
    "fault",
    [(409, "conflict", "conflict"), (429, "rate_limit_exceeded", "limit reached"), (503, "maintenance", "maintenance")],
)
def test_what_passes_by_itself_is_repeated(
    hetzner: Hetzner, organization: Organization, region: Region, fault: tuple[Any, ...]
) -> None:
    instance = make_instance(organization, region)
    hetzner.refuse("POST servers", *fault)
    work()
    hurry()
    work()
    assert (len(hetzner.servers), hetzner.calls.count("POST servers")) == (1, 2)
    assert steps_of(instance)["server"] == "succeeded"


def test_a_failed_order_of_an_instance_that_is_deleted_leaves_nothing(
    hetzner: Hetzner, organization: Organization, region: Region
) -> None:
    instance = make_instance(organization, region)
    hetzner.refuse("POST servers", 412, "resource_unavailable", "error during placement")
    work()
    assert hetzner.firewalls
    delete_instance(Instance.objects.get(pk=instance.pk), by=BY)
    work()
    assert (hetzner.servers, hetzner.firewalls) == ({}, {})
    assert not CloudNode.objects.exists()


@pytest.mark.parametrize(
    ("given", "secret", "words"),
    [
        ({}, TOKEN, "The credentials work."),
        ({"image": "114690387"}, TOKEN, "The credentials work."),
        ({}, "another", "hetzner does not accept the credentials"),
        ({"image": "debian-7"}, TOKEN, "cannot start the image debian-7"),
        ({"image": "7"}, TOKEN, "cannot start the image 7"),
        ({"size": "cx1"}, TOKEN, "no size cx1 in this location"),
        ({"location": "hel1"}, TOKEN, f"no size {SIZE} in this location"),
        ({"location": "mars1"}, TOKEN, "no location mars1"),
        ({"endpoint": "http://127.0.0.1:9"}, TOKEN, "http://127.0.0.1:9 does not answer"),
    ],
)
def test_the_credentials_are_tested(
    hetzner: Hetzner, region: Region, account: CloudAccount, given: dict[str, str], secret: str, words: str
) -> None:
    set_account(region, by=BY, secret=secret, **settings_for(hetzner, **given))
    clouds.test_cloud(str(account.pk))
    account.refresh_from_db()
    assert words in shown.test_sentence(account)


def test_staff_see_what_the_settings_mean_there(staff_browser: Client, region: Region, account: CloudAccount) -> None:
    page = staff_browser.get(f"/admin/vpn/cloudaccount/{account.pk}/change/").content.decode()
    assert "server type, such as cx23" in page
    assert "Test the credentials" in page
    assert TOKEN not in page


def test_what_is_paid_for_and_not_known_is_found_on_all_pages_and_removed_only_on_request(
    hetzner: Hetzner, organization: Organization, region: Region, account: CloudAccount
) -> None:
    make_instance(organization, region)
    work()
    for number in range(60):
        tag = Tag(portal_tag(), uuid4())
        hetzner.add_server(tag.name if number else "renamed-by-someone", tag.labels)
    others = [hetzner.add_server("of-someone", {}), hetzner.add_server("of-a-portal", Tag("01234567", uuid4()).labels)]
    sweep_cloud(str(account.pk))
    assert StrayNode.objects.count() == 60
    row = StrayNode.objects.get(found_id=str(min(set(hetzner.servers) - {int(the_node().node_id)})))
    remove_stray(str(row.pk))
    assert int(row.found_id) in hetzner.servers, "nobody has asked for it"
    StrayNode.objects.filter(pk=row.pk).update(removal_asked_at=row.seen_at)
    for _ in range(2):  # Once to end it, once to see that it has ended.
        remove_stray(str(row.pk))
    assert int(row.found_id) not in hetzner.servers
    assert {server["id"] for server in others} < hetzner.servers.keys()


def test_a_firewall_that_is_left_is_a_stray_too(
    hetzner: Hetzner, organization: Organization, region: Region, account: CloudAccount
) -> None:
    make_instance(organization, region)
    work()
    # As after a backup was restored that does not know the order.
    node = the_node()
    node.server.instances.update(server=None)
    node.server.delete()
    sweep_cloud(str(account.pk))
    assert sorted(StrayNode.objects.values_list("is_group", flat=True)) == [False, True]


def test_twenty_hubs_with_all_their_ports_fit_into_one_firewall(hetzner: Hetzner) -> None:
    """Hetzner allows 500 effective rules, which are rules times networks."""
    ports = [
        f"{kind}/{port}" for base in range(20000, 20080, 4) for port in (base, base + 1) for kind in ("tcp", "udp")
    ]
    cloud_of(hetzner).open_ports(TAG, ["tcp/22", *ports], [f"192.0.2.{number}/32" for number in range(20)])
    (wall,) = hetzner.firewalls.values()
    assert len(wall["rules"]) == 41
    assert sum(len(rule["source_ips"]) for rule in wall["rules"]) == 100
