"""Routes that hold the hub's own address, page to packet, with the profiles that the portal delivers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.nodes import GATEWAY_V4, Node
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.shared_portal import Tenant
from tests.visitor import Visitor

pytestmark = [pytest.mark.flow, pytest.mark.network]
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def admin(tenant: Tenant) -> Visitor:
    """The admin's browser."""
    visitor = tenant.visitor()
    created = visitor.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-routes", "region": "local"})
    story["instance"] = id_in(created, "instances")
    page = f"/instances/{story['instance']}/"
    wait_until(lambda: "Ready" in visitor.get(page).text, 40, "the instance to be ready")
    return visitor


@pytest.fixture(scope="module")
def operator(portal: RunningPortal) -> Iterator[tuple[Visitor, str]]:
    """The browser of the portal's staff, and the page of this machine, which keeps none of its networks open."""
    visitor = portal.visitor()
    found = re.search(r"/admin/vpn/server/[0-9a-f-]{36}/", visitor.get("/admin/vpn/server/").text)
    assert found
    page = f"{found[0]}change/"
    yield visitor, page
    visitor.submit(page, {"networks": ""})


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Node:
    """A device on the hub's own network."""
    return lab.add_client("laptop")


def leaves_by(lab: Lab, node: Node, address: str) -> str:
    found = re.search(r" dev (\S+)", lab.run(node, ["ip", "route", "get", address]).stdout)
    assert found
    return found[1]


def test_a_network_that_is_the_hubs_address_is_refused(lab: Lab, admin: Visitor) -> None:
    path = f"/instances/{story['instance']}/routing/"
    answer = admin.submit(path, {"pushed_routes": f"{lab.host.v4}/32"})
    assert "is the hub&#x27;s own public address" in answer.text


def test_a_split_tunnel_goes_on_where_a_pushed_network_holds_the_hubs_address(
    lab: Lab, admin: Visitor, laptop: Node
) -> None:
    admin.submit(f"/instances/{story['instance']}/routing/", {"pushed_routes": "203.0.113.0/24"})
    peer = add_client(admin, story["instance"], device="laptop", route_all="false")
    profile = fetch_profile(admin, peer)
    routes = re.search(r"^AllowedIPs = (.*)$", profile, re.MULTILINE)
    assert routes
    networks = [ipaddress.ip_network(text) for text in routes[1].split(", ") if ":" not in text]
    routed = {address for network in networks for address in network if str(address).startswith("203.0.113.")}
    everything = set(ipaddress.ip_network("203.0.113.0/24"))
    assert everything - routed == {ipaddress.ip_address(lab.host.v4)}
    lab.wg_quick_up(laptop, profile)
    lab.wait_ping(laptop, GATEWAY_V4)
    assert (leaves_by(lab, laptop, GATEWAY_V4), leaves_by(lab, laptop, lab.host.v4)) == ("wg0", "eth0")
    assert "hub&#x27;s own address, 203.0.113.1" in admin.get(f"/peers/{peer}/").text
    lab.wg_quick_down(laptop)


def test_openvpn_is_told_the_same(lab: Lab, admin: Visitor) -> None:
    tablet = lab.add_client("tablet")
    peer = add_client(admin, story["instance"], device="tablet", route_all="false", protocol="openvpn")
    lab.openvpn_up(tablet, fetch_profile(admin, peer), seconds=40)
    lab.wait_ping(tablet, GATEWAY_V4)
    assert (leaves_by(lab, tablet, GATEWAY_V4), leaves_by(lab, tablet, lab.host.v4)) == ("tun0", "eth0")


def test_a_public_network_leaves_through_the_hub_and_one_behind_its_server_needs_the_operator(
    lab: Lab, operator: tuple[Visitor, str], admin: Visitor, laptop: Node
) -> None:
    vpc = lab.add_behind(lab.host, "vpc")
    network = f"{vpc.v4.rpartition('.')[0]}.0/24"
    path = f"/instances/{story['instance']}/routing/"
    answer = admin.submit(path, {"pushed_routes": f"198.51.100.0/24\n{network}"})
    assert f"No site advertises {network}" in answer.text
    staff, server = operator
    staff.submit(server, {"networks": network})
    page = admin.submit(path, {"pushed_routes": f"198.51.100.0/24\n{network}"}).text
    assert f"from {lab.host.v4}" in page
    assert "as the operator allows" in page
    peer = add_client(admin, story["instance"], device="notebook", route_all="false")
    lab.wg_quick_up(laptop, fetch_profile(admin, peer))
    lab.wait_ping(laptop, vpc.v4)
    with lab.count(lab.outside, f"ip saddr {lab.host.v4} icmp type echo-request") as from_hub:
        lab.wait_ping(laptop, lab.outside.v4)
        assert from_hub.packets > 0
    # The operator takes it back: the page says so, and the hub drops it.
    staff.submit(server, {"networks": ""})
    assert "Leads nowhere" in admin.get(path).text
    wait_until(lambda: not lab.ping(laptop, vpc.v4, timeout=0.3), 10, "the network to be shut")
