"""A Linux router on two hubs that share a network, and a Linux device inside of a branch that its profile routes."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Network, ip_network
from uuid import UUID

import pytest

from tests.lab.delivered import delivered, peer_row
from tests.lab.devices import Device
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node, Site
from vpn.profiles import linux, wireguard
from vpn.profiles.peer import profile_of
from vpn.profiles.router import SiteRouter, metric_of
from vpn.profiles.tunnel_routes import SiteSubnets
from vpn.profiles.wireguard import WireGuardProfile


def profile_of_row(hub: Hub, device: Device) -> WireGuardProfile:
    """What the portal works out for a peer of the laboratory."""
    sites = SiteSubnets(
        (UUID(key), tuple(map(ip_network, other.subnets))) for key, other in hub.devices.items() if other.subnets
    )
    return profile_of(peer_row(hub, device), sites=sites)


def leaves_by(lab: Lab, node: Node, address: str) -> str:
    found = re.search(r" dev (\S+)", lab.run(node, ["ip", "route", "get", address]).stdout)
    assert found
    return found[1]


def test_one_linux_router_is_on_two_hubs_that_share_a_network(lab: Lab, agent: Agent) -> None:
    first = Hub(lab, agent)
    second = Hub(lab, agent, port=20001, pool_v4=IPv4Network("10.210.0.0/20"))
    for hub, name in ((first, "berlin"), (second, "bonn")):
        branch = lab.add_site(name, "10.1.0.0/24")
        hub.connect(branch.router, subnets=["10.1.0.0/24"])
    both = lab.add_site("both", "10.9.0.0/24")
    for number, hub in enumerate((first, second)):
        device = hub.add(["10.9.0.0/24"])
        hub.apply_next()
        profile = profile_of_row(hub, device)
        router = SiteRouter("Both", (IPv4Network("10.9.0.0/24"),), tag=f"vpn-{number}a2b3c4d")
        [file] = [file for file in linux.wireguard(profile, router).files if file.title == "For wg-quick"]
        lab.wg_quick_up(both.router, file.content, router.tag)
        lab.wait_ping(both.router, hub.v4)
    lab.wait_ping(both.router, first.v4)
    lab.wait_ping(both.router, "10.1.0.10")
    routes = lab.run(both.router, ["ip", "-4", "route", "show", "10.1.0.0/24"]).stdout
    assert routes.count("10.1.0.0/24") == 2
    # The other one takes over where a tunnel ends.
    lab.wg_quick_down(both.router, leaves_by(lab, both.router, "10.1.0.10"))
    lab.wait_ping(both.router, "10.1.0.10")


@pytest.fixture
def berlin(lab: Lab) -> Site:
    """A branch whose LAN reaches the internet by its own address."""
    site = lab.add_site("berlin", "10.1.0.0/24")
    lab.route(lab.internet, "10.1.0.0/24", site.router)
    return site


def test_a_device_inside_of_a_branch_keeps_its_lan_over_wireguard(lab: Lab, hub: Hub, berlin: Site) -> None:
    hub.connect(berlin.router, subnets=["10.1.0.0/24"])
    paris = lab.add_site("paris", "10.2.0.0/24")
    hub.connect(paris.router, subnets=["10.2.0.0/24"])
    laptop, device = berlin.lan, hub.add()
    hub.apply_next()
    profile = replace(profile_of_row(hub, device), metric=metric_of("laptop"))
    lab.wg_quick_up(laptop, wireguard.render(profile))
    lab.wait_ping(laptop, hub.v4)
    lab.wait_ping(laptop, paris.lan.v4)
    assert (leaves_by(lab, laptop, "10.1.0.1"), leaves_by(lab, laptop, paris.lan.v4)) == ("eth0", "wg0")
    assert lab.ping(laptop, "10.1.0.1")


def test_a_device_inside_of_a_branch_keeps_its_lan_over_openvpn(lab: Lab, hub: Hub, berlin: Site) -> None:
    hub.connect(berlin.router, subnets=["10.1.0.0/24"])
    paris = lab.add_site("paris", "10.2.0.0/24")
    hub.connect(paris.router, subnets=["10.2.0.0/24"])
    laptop, device = berlin.lan, hub.add_openvpn()
    hub.apply_next()
    lab.openvpn_up(laptop, delivered(hub, device), seconds=40)
    lab.wait_ping(laptop, hub.v4)
    lab.wait_ping(laptop, paris.lan.v4)
    assert (leaves_by(lab, laptop, "10.1.0.1"), leaves_by(lab, laptop, paris.lan.v4)) == ("eth0", "tun0")
    assert lab.ping(laptop, "10.1.0.1")
