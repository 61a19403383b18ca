"""What must not pass, tried from a client, each beside something of the same kind that must."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.devices import POOL_V4, POOL_V6, Device
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node, Site
from tests.lab.waiting import wait_until
from vpn.wire.report import COMPONENTS

UNROUTED = [
    "10.99.0.1",
    "100.127.0.1",
    "172.16.9.1",
    "192.0.0.8",
    "192.88.99.9",
    "192.168.9.1",
    "198.19.255.1",
    "fd99::1",
    "64:ff9b::c0a8:901",
    "64:ff9b:1::1",
    "2001:0:9::1",
    "2002:c0a8:901::1",
]
METADATA_V4 = "169.254.169.254"
METADATA_V6 = "fd00:ec2::254"
IN_GUEST = ["168.63.129.16", "100.100.100.200", "161.26.0.10", "fd20:ce::254", "fd00:c1::a9fe:a9fe"]
SERVICES = [METADATA_V4, METADATA_V6, *IN_GUEST]


@dataclass(frozen=True)
class World:
    """Alice sends everything through the hub, where Berlin is a site; Bob is a client of another hub on the host."""

    lab: Lab
    hub: Hub
    other: Hub
    alice: Node
    bob: Node
    stranger: Node
    berlin: Site
    device: Device
    bobs_device: Device


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub, other = Hub(lab, agent), Hub(lab, agent, port=20001)
        alice, bob, berlin = lab.add_client("alice"), lab.add_client("bob"), lab.add_site("berlin")
        hub.connect_site(berlin)
        device = hub.connect(alice, everything=True)
        bobs_device = other.connect(bob, everything=True)
        for address in (*UNROUTED, *SERVICES):
            lab.add_address(lab.outside, f"{address}/{128 if ':' in address else 32}")
            lab.route(lab.internet, address, lab.outside)
        lab.run(lab.host, ["ip", "route", "add", METADATA_V4, "via", "203.0.113.254"])
        yield World(lab, hub, other, alice, bob, lab.add_client("stranger"), berlin, device, bobs_device)
        agent.close()


def arrives(world: World, sender: Node, source: str, destination: str, at: Node) -> bool:
    """Return whether a packet comes through; one that must is sent behind it, so that nothing is waited for in vain."""
    lab = world.lab
    family = "ip6" if ":" in source else "ip"
    with (
        lab.count(at, f"{family} saddr {source} {family} daddr {destination} udp dport 9") as tried,
        lab.count(at, "meta mark 0 udp dport 9") as any_packet,
    ):
        lab.inject(sender, source, destination)
        good = world.device.v4 if sender is world.alice else world.berlin.lan.v4
        target = world.berlin.lan.v4 if at is world.berlin.lan else world.device.v4
        lab.inject(sender, good, target)
        wait_until(lambda: any_packet.packets > 0, 5, "the packet that must arrive")
        return tried.packets > 0


@pytest.mark.parametrize("address", [*UNROUTED, *SERVICES])
def test_special_ranges_without_a_route_are_out_of_reach(world: World, address: str) -> None:
    assert world.lab.ping(world.lab.host, address), "the host itself gets there"
    assert not world.lab.ping(world.alice, address, timeout=0.4)


@pytest.mark.parametrize("address", [OUTSIDE_V4, OUTSIDE_V6])
def test_no_mail_leaves_through_the_hub(world: World, address: str) -> None:
    lab = world.lab
    servers = [lab.serve_http(lab.outside, address, port) for port in (25, 26)]
    assert lab.can_connect(lab.host, address, 25)
    assert lab.can_connect(world.alice, address, 26)
    assert not lab.can_connect(world.alice, address, 25, timeout=0.5)
    for server in servers:
        server.kill()


@pytest.mark.parametrize("family", [4, 6])
def test_nothing_of_the_host_is_reachable(world: World, family: int) -> None:
    lab = world.lab
    # A public address of the host that is not in the clients' own network, which they would not send into the tunnel.
    public = "192.0.2.1" if family == 4 else "2001:db8:2::1"
    lab.add_address(lab.host, f"{public}/{32 if family == 4 else 128}")
    lab.route(lab.internet, public, lab.host)
    server = lab.serve_http(lab.host, "0.0.0.0" if family == 4 else "::", 8000 + family)  # noqa: S104
    assert lab.can_connect(world.stranger, public, 8000 + family)
    links = lab.run(lab.host, ["ip", "-br", f"-{family}", "address", "show"]).stdout.split()
    own = [word.split("/")[0] for word in links if word.startswith(("198.18.", "fdba:5e11:"))]
    assert len(own) == 2
    for address in (public, *own):
        assert not lab.can_connect(world.alice, address, 8000 + family, timeout=0.4), address
        assert not lab.ping(world.alice, address, timeout=0.4), address
    server.kill()


def test_other_instances_are_out_of_reach(world: World) -> None:
    lab = world.lab
    words = lab.run(world.other.node, ["ip", "-br", "address", "show", "dev", f"up-{world.other.hub}"]).stdout.split()
    for address in (word.split("/")[0] for word in words[2:] if not word.startswith("fe80:")):
        assert lab.ping(lab.host, address, timeout=0.4) is False, "not even the host gets in"
        assert not lab.ping(world.alice, address, timeout=0.4)
        with lab.count(world.other.node, f"{'ip6' if ':' in address else 'ip'} daddr {address} udp dport 9") as counter:
            lab.inject(world.alice, world.device.v6 if ":" in address else world.device.v4, address)
            assert lab.ping(world.alice, OUTSIDE_V4)
            assert counter.packets == 0
    # The same address means somebody else in each instance.
    with lab.count(world.bob, "icmp type echo-request") as counter:
        lab.ping(world.alice, world.bobs_device.v4, timeout=0.4)
        assert counter.packets == 0


@pytest.mark.parametrize(
    "source", ["100.64.0.9", "100.64.0.1", "10.3.0.10", "198.18.0.1", "127.0.0.1", "169.254.1.1", "8.8.8.8"]
)
def test_a_client_cannot_claim_another_source(world: World, source: str) -> None:
    assert not arrives(world, world.alice, source, world.berlin.lan.v4, world.berlin.lan)


@pytest.mark.parametrize("destination", ["127.0.0.1", "169.254.169.254", "224.0.0.1", "240.0.0.1", "0.0.0.1"])
def test_reserved_destinations_go_nowhere(world: World, destination: str) -> None:
    lab = world.lab
    with (
        lab.count(lab.host, f"ip daddr {destination}") as at_host,
        lab.count(lab.outside, "udp dport 9") as sent_behind,
    ):
        lab.inject(world.alice, world.device.v4, destination)
        lab.inject(world.alice, world.device.v4, OUTSIDE_V4)
        wait_until(lambda: sent_behind.packets > 0)
        assert at_host.packets == 0


def test_the_hub_answers_ping_and_nothing_else(world: World) -> None:
    lab = world.lab
    for address in (world.hub.v4, world.hub.v6):
        server = lab.serve_http(world.hub.node, address, 8080)
        assert lab.ping(world.alice, address)
        assert not lab.can_connect(world.alice, address, 8080, timeout=0.4)
        server.kill()


def test_nobody_outside_opens_a_way_to_a_client(world: World) -> None:
    lab, hub = world.lab, world.hub
    words = lab.run(hub.node, ["ip", "-br", "address", "show", "dev", f"up-{hub.hub}"]).stdout.split()
    gateways: dict[int, str] = {
        ipaddress.ip_address(word.split("/")[0]).version: word.split("/")[0]
        for word in words[2:]
        if not word.startswith("fe80:")
    }
    for version, target in ((4, world.device.v4), (6, world.device.v6)):
        lab.run(lab.host, ["ip", "route", "replace", target, "via", gateways[version]])
        lab.route(lab.internet, target, lab.host)
        assert not lab.ping(lab.host, target, timeout=0.4)
        assert not lab.ping(lab.outside, target, timeout=0.4)


@pytest.mark.parametrize("address", [OUTSIDE_V4, OUTSIDE_V6])
def test_segments_fit_into_the_tunnel(world: World, address: str) -> None:
    lab = world.lab
    headers = 60 if ":" in address else 40
    # A client that does not know better.
    lab.run(world.alice, ["ip", "link", "set", "wg0", "mtu", "1500"])
    server = lab.serve_http(lab.outside, address, 80)
    with lab.count(lab.outside, f"tcp flags & syn == syn tcp option maxseg size > {world.hub.mtu - headers}") as large:
        assert lab.can_connect(world.alice, address, 80)
        assert large.packets == 0
    server.kill()
    lab.run(world.alice, ["ip", "link", "set", "wg0", "mtu", str(world.hub.mtu)])


def test_a_site_that_advertises_everything_cannot_pose_as_anybody(lab: Lab, hub: Hub) -> None:
    paris = lab.add_site("paris")
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.add(subnets=(str(POOL_V4), str(POOL_V6)))  # nobody, as vpn.desired has it: the pool's unused addresses
    site = hub.connect(paris.router, subnets=("0.0.0.0/0", "::/0"))
    device, bobs = hub.connect(alice, everything=True), hub.connect(bob)
    # What Paris sends must not be held back by Paris itself.
    lab.run(paris.router, ["wg", "set", "wg0", "peer", hub.public_key, "allowed-ips", "0.0.0.0/0,::/0"])
    forged = [bobs.v4, hub.v4, "127.0.0.1", "169.254.169.254", "198.18.0.0", "198.18.0.1", "0.0.0.1", "240.0.0.1"]
    forged += [str(POOL_V4[77]), str(POOL_V6[77]), bobs.v6, hub.v6, "fe80::1", "fdba:5e11::1", "::ffff:10.0.0.1"]
    with lab.count(alice, 'iifname "wg0" udp dport 9') as counter:
        for source in forged:
            lab.inject(paris.router, source, device.v6 if ":" in source else device.v4)
        lab.inject(paris.router, site.v4, device.v4)
        lab.inject(paris.router, "192.0.2.55", device.v4)
        wait_until(lambda: counter.packets >= 2, 5, "what Paris may send")
        assert counter.packets == 2

    # Everything goes to Paris now, but what no route may ever lead to.
    with lab.count(paris.router, 'iifname "wg0" udp dport 9') as counter:
        for destination in ("169.254.169.254", "127.0.0.1", "224.0.0.1", "240.0.0.1", "fe80::1", "ff02::1"):
            lab.inject(alice, device.v6 if ":" in destination else device.v4, destination)
        lab.inject(alice, device.v4, "192.168.77.7")
        wait_until(lambda: counter.packets > 0, 5, "what Alice may send")
        assert counter.packets == 1


def test_peers_are_kept_apart_when_forwarding_is_denied(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    device = hub.connect(alice, everything=True)
    hub.connect(bob)
    assert lab.ping(bob, device.v4)
    hub.forwarding = "deny"
    assert hub.apply_next().changed == {**dict.fromkeys(COMPONENTS, False), "firewall": True}
    assert not lab.ping(bob, device.v4, timeout=0.4)
    assert not lab.ping(bob, device.v6, timeout=0.4)
    assert lab.ping(alice, OUTSIDE_V4)
    assert lab.ping(alice, hub.v4)
