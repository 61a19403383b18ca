"""Large files over small links, on which no fragment of a tunnel's packet survives: by default, and by choice."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.lab.delivered import bring_up
from tests.lab.devices import Device, OpenVPNDevice
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node, Site
from tests.lab.transfer import moves_a_file, serve_file
from tests.lab.underlay import add_behind, drop_fragments, fragments
from vpn.constants import DEFAULT_MTU

PPPOE, MOBILE = 1492, 1420
NARROWEST, SMALLEST = 1360, 1280  # RFC 8200: what IPv6 needs, with WireGuard's 80 bytes around it
PROTOCOLS = ("wireguard", "udp", "tcp")


class World(NamedTuple):
    """A hub with a branch of each protocol behind small links."""

    lab: Lab
    hub: Hub
    branches: tuple[Site, Site]


@pytest.fixture(scope="module")
def big(world: tuple[Lab, Hub]) -> World:
    """The hub as it is by default, with branches behind PPPoE and a mobile network."""
    lab, hub = world
    drop_fragments(lab)
    built = build(lab, hub, PPPOE, MOBILE)
    for address in (OUTSIDE_V4, OUTSIDE_V6):
        serve_file(lab, lab.outside, address)
    return built


@pytest.fixture(scope="module")
def small(world: tuple[Lab, Hub], big: World) -> World:
    """A hub with the smallest MTU, all of whose devices have the narrowest links."""
    lab, hub = world
    return build(lab, Hub(lab, hub.agent, port=20100, mtu=SMALLEST), NARROWEST, NARROWEST)


def build(lab: Lab, hub: Hub, *mtus: int) -> World:
    branches = []
    for number, mtu in enumerate(mtus):
        name = f"branch{hub.port}-{number}"
        site = lab.add_site(name, router=add_behind(lab, f"{name}-router", mtu=mtu))
        serve_file(lab, site.lan, site.lan.v4)
        serve_file(lab, site.lan, site.lan.v6)
        branches.append(site)
    first, second = branches
    over_wireguard = hub.add((first.lan_v4, first.lan_v6))
    over_openvpn = hub.add_openvpn((second.lan_v4, second.lan_v6))
    hub.apply_next()
    bring_up(hub, first.router, over_wireguard, [lab.host.v6])
    bring_up(hub, second.router, over_openvpn, [lab.host.v6])
    return World(lab, hub, (first, second))


def connect(world: World, protocol: str, mtu: int, family: int) -> Node:
    """A device that sends everything, behind a link of this size and family."""
    lab, hub = world.lab, world.hub
    node = add_behind(lab, f"{protocol}{mtu}v{family}", mtu=mtu, v4=family == 4, v6=family == 6)
    device: Device | OpenVPNDevice = hub.add() if protocol == "wireguard" else hub.add_openvpn(route_all=True)
    hub.apply_next()
    host = lab.host.v4 if family == 4 else lab.host.v6
    bring_up(hub, node, device, [host], transport=protocol, everything=True)
    return node


def check(world: World, node: Node) -> None:
    lab, hub = world.lab, world.hub
    before = fragments(lab)
    for address in (OUTSIDE_V4, OUTSIDE_V6, world.branches[0].lan.v4, world.branches[1].lan.v6):
        assert moves_a_file(lab, node, address), address
    for address, headers in ((hub.v4, 28), (world.branches[1].lan.v4, 28), (world.branches[0].lan.v6, 48)):
        size = str(hub.mtu - headers)
        largest = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s", size, address]
        assert lab.run(node, largest, check=False).returncode == 0, address
    assert fragments(lab) == before, "no packet of a tunnel was cut up"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_default_passes_a_mobile_network(big: World, protocol: str, family: int) -> None:
    assert big.hub.mtu == DEFAULT_MTU
    check(big, connect(big, protocol, MOBILE, family))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_default_passes_pppoe(big: World, protocol: str) -> None:
    check(big, connect(big, protocol, PPPOE, 6))


def test_branches_move_files_between_them(big: World) -> None:
    first, second = big.branches
    before = fragments(big.lab)
    for here, there in ((first, second), (second, first)):
        for address in (there.lan.v4, there.lan.v6):
            assert moves_a_file(big.lab, here.lan, address), address
    assert fragments(big.lab) == before


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_smallest_mtu_passes_the_narrowest_link(small: World, protocol: str) -> None:
    check(small, connect(small, protocol, NARROWEST, 6))


def test_a_larger_mtu_than_the_link_carries_is_what_hangs(big: World) -> None:
    lab = big.lab
    hub = Hub(lab, big.hub.agent, port=20200, mtu=1420)
    node = add_behind(lab, "too-large", mtu=MOBILE, v4=False)
    device = hub.add()
    hub.apply_next()
    bring_up(hub, node, device, [lab.host.v6], everything=True)
    assert not moves_a_file(lab, node, OUTSIDE_V4, patience=4)
