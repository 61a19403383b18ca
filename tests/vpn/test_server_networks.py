"""Where pushed routes lead: to a site, behind the hub's server, to the internet; and never nowhere unsaid."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from portal.exceptions import InvalidInput
from portal.models import Membership
from tests import factories
from tests.factories import BY
from tests.vpn.api.caller import Caller, refused, told
from tests.vpn.planned import planned
from vpn.actions.instances.portal_place import place_portal
from vpn.actions.instances.server import allow_networks
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import delete_peer, update_peer
from vpn.desired import compile_spec
from vpn.models import Instance, Peer, Server
from vpn.presenters.profiles.routes import routes_sentence
from vpn.profiles.tunnel_routes import site_subnets

pytestmark = pytest.mark.django_db
VPC = "172.31.5.0/24"


def said_routes(peer: Peer) -> str:
    """What a page says of the routes through the peer's tunnel."""
    return routes_sentence(peer, site_subnets(peer.instance))


@pytest.fixture
def server(instance: Instance) -> Server:
    """The instance's server."""
    return Server.objects.get()


def opened(instance: Instance) -> list[str]:
    found: list[str] = compile_spec(instance.pk).document["server"]["networks"]
    return found


def test_a_route_without_a_site_is_refused_and_told_what_to_do(
    admin_browser: Client, instance: Instance, site_peer: Peer
) -> None:
    api = f"/instances/{instance.pk}/routing/"
    page = admin_browser.post(api, {"pushed_routes": VPC}).content.decode()
    assert f"No site advertises {VPC}" in page
    assert "ask the operator to allow it on the server" in page
    for refused_route in (VPC, "10.0.0.0/8", "192.0.0.0/8", "100.64.128.0/24", "fd99::/48", "168.63.129.16/32"):
        with pytest.raises(InvalidInput):
            update_instance(instance, pushed_routes=[refused_route], by=BY)
    update_instance(instance, pushed_routes=["10.1.0.128/25", "198.51.100.0/24", "2001:db8::/48"], by=BY)
    assert opened(instance) == []


def test_a_network_that_staff_allow_is_opened_exactly_where_it_is_pushed(
    instance: Instance, server: Server, site_peer: Peer
) -> None:
    allow_networks(server, ["172.31.0.0/16"], by=BY)
    assert opened(instance) == []
    plan = planned(lambda: update_instance(instance, pushed_routes=[VPC, "10.1.0.0/25"], by=BY))
    assert {(line.source, line.destination, line.after) for line in plan.reachability} == {
        (f"site:{site_peer.site_id}", VPC, True)
    }
    update_instance(instance, pushed_routes=[VPC, "10.1.0.0/25"], by=BY)
    assert opened(instance) == [VPC]
    # What is narrower wins, and a site before the server.
    other = factories.make_site(instance.organization)
    factories.make_site_peer(instance, other, ["172.31.4.0/23"])
    assert opened(instance) == []


@pytest.mark.parametrize("network", ["100.64.0.0/24", "100.64.0.2/32", "100.64.0.0/20"])
def test_a_network_within_the_pool_is_never_opened(
    instance: Instance, client_peer: Peer, server: Server, network: str
) -> None:
    assert (instance.pool_v4, client_peer.host) == ("100.64.0.0/20", 2)
    allow_networks(server, [network], by=BY)
    update_instance(instance, pushed_routes=[network], by=BY)
    assert opened(instance) == [], "its addresses are devices'"


@pytest.mark.parametrize(
    "network",
    [
        "169.254.169.254/32",
        "100.100.100.0/24",
        "fd00:ec2::/64",
        "168.63.129.16/32",
        "161.26.0.0/24",
        "198.18.0.0/24",
        "0.0.0.0/0",
        "127.0.0.0/8",
        "x",
    ],
)
def test_reserved_and_metadata_networks_are_never_allowed(server: Server, network: str) -> None:
    with pytest.raises(InvalidInput):
        allow_networks(server, [network], by=BY)


def test_staff_allow_networks_in_the_admin(client: Client, instance: Instance, server: Server) -> None:
    allow_networks(server, [VPC], by=BY)
    update_instance(instance, pushed_routes=[VPC], by=BY)
    client.force_login(factories.make_user(is_staff=True))
    path = f"/admin/vpn/server/{server.pk}/change/"
    assert VPC in client.get(path).content.decode()
    page = client.post(path, {"networks": "169.254.169.254/32"}).content.decode()
    assert "with the metadata address of clouds" in page
    before = Instance.objects.get(pk=instance.pk).desired_generation
    assert client.post(path, {"networks": ""}).status_code == 302
    server.refresh_from_db()
    assert server.networks == []
    assert Instance.objects.get(pk=instance.pk).desired_generation == before + 1
    assert opened(instance) == []


def test_a_route_that_loses_its_site_says_that_it_leads_nowhere(
    admin_browser: Client, instance: Instance, server: Server, site_peer: Peer
) -> None:
    update_instance(instance, pushed_routes=["10.1.0.0/25", "198.51.100.0/24"], by=BY)
    page = admin_browser.get(f"/instances/{instance.pk}/routing/").content.decode()
    assert "To Berlin." in page
    assert "To the internet through the hub&#x27;s server, from 203.0.113.1." in page
    assert "Leads nowhere" not in page
    assert "the hub itself, directly" not in page
    update_instance(instance, pushed_routes=["10.1.0.0/25", "203.0.113.0/24"], by=BY)
    page = admin_browser.get(f"/instances/{instance.pk}/routing/").content.decode()
    assert "Devices reach 203.0.113.1, the hub itself, directly." in page
    assert planned(lambda: delete_peer(site_peer, by=BY)).nowhere == ["10.1.0.0/25"]
    delete_peer(site_peer, by=BY)
    page = admin_browser.get(f"/instances/{instance.pk}/routing/").content.decode()
    assert "Leads nowhere" in page
    # It may stay beside other changes, and it may go.
    update_instance(instance, pushed_routes=["10.1.0.0/25"], mtu=1400, by=BY)
    update_instance(instance, pushed_routes=[], by=BY)


def test_a_route_that_leads_nowhere_needs_someone(
    admin: Membership, admin_browser: Client, instance: Instance, server: Server, site_peer: Peer
) -> None:
    update_instance(instance, pushed_routes=["10.1.0.0/25", "198.51.100.0/24"], by=BY)

    def codes() -> list[str]:
        return [one["code"] for one in told(Caller.of(admin).get(f"/instances/{instance.pk}"), 200)["needs"]]

    before = codes()
    update_peer(site_peer, enabled=False, by=BY)
    assert set(codes()) - set(before) == {"route-nowhere"}
    page = admin_browser.get(f"/instances/{instance.pk}/").content.decode()
    assert "10.1.0.0/25 leads nowhere" in page
    assert "198.51.100.0/24" not in page
    assert "leads nowhere" in admin_browser.get("/").content.decode()
    update_instance(instance, pushed_routes=["198.51.100.0/24"], by=BY)
    assert codes() == before


def test_a_plan_over_the_api_names_the_routes_that_lead_nowhere(
    admin: Membership, instance: Instance, site_peer: Peer
) -> None:
    api = Caller.of(admin)
    path = f"/instances/{instance.pk}"
    refused(api.put(path, {"pushed_routes": [VPC]}), 422)
    told(api.put(path, {"pushed_routes": ["10.1.0.0/25"]}), 200)
    changed = {"subnets": ["10.2.0.0/24"]}
    assert told(api.put(f"{path}/peers/{site_peer.pk}?plan=true", changed), 200)["nowhere"] == ["10.1.0.0/25"]


def test_the_portal_is_opened_where_its_address_leads_to_the_server(
    settings: Any, instance: Instance, server: Server, client_peer: Peer
) -> None:
    client_peer.route_all = True
    assert "The hub's own server, 203.0.113.1, is not reached" in said_routes(client_peer)
    for url, port in (
        ("https://203.0.113.1", 443),
        ("http://203.0.113.1:8000", 8000),
        ("https://203.0.113.2", None),
        ("http://localhost:8000", None),
    ):
        settings.PUBLIC_URL = url
        place_portal(server.pk, by=BY)
        assert compile_spec(instance.pk).document["server"]["portal_port"] == port
    settings.PUBLIC_URL = "https://203.0.113.1"
    place_portal(server.pk, by=BY)
    generation = Instance.objects.get(pk=instance.pk).desired_generation
    place_portal(server.pk, by=BY)
    assert Instance.objects.get(pk=instance.pk).desired_generation == generation
    client_peer = Peer.objects.select_related("instance__server").get(pk=client_peer.pk)
    client_peer.route_all = True
    assert "203.0.113.1, only this portal is reached through the VPN." in said_routes(client_peer)
    client_peer.protocol = "openvpn"
    assert "Only the hub's own address, 203.0.113.1, is reached directly" in said_routes(client_peer)
