"""OpenVPN beside WireGuard on one hub: every pair of peers in both families, what is pushed, and what is reported."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.devices import OpenVPNDevice
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4, OUTSIDE_V6, Node
from tests.lab.waiting import wait_until
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)


@dataclass(frozen=True)
class World:
    """A hub with two clients and two sites of each protocol; `ends` are the clients, and hosts in the sites' LANs."""

    lab: Lab
    hub: Hub
    ends: dict[str, tuple[Node, str, str]]
    openvpns: dict[str, OpenVPNDevice]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        agent = Agent(lab)
        hub = Hub(lab, agent)
        yield connected(lab, hub)
        agent.close()


def connected(lab: Lab, hub: Hub) -> World:
    ends: dict[str, tuple[Node, str, str]] = {}
    openvpns, profiles = {}, []
    for name, protocol in (("alice", "udp"), ("bob", "tcp"), ("carol", ""), ("dave", "")):
        node = lab.add_client(name)
        device = hub.add_openvpn() if protocol else hub.add()
        profiles.append((node, device, protocol))
        ends[name] = (node, device.v4, device.v6)
    for name, protocol in (("berlin", "udp"), ("bern", "tcp"), ("paris", ""), ("rome", "")):
        site = lab.add_site(name)
        subnets = (site.lan_v4, site.lan_v6)
        device = hub.add_openvpn(subnets) if protocol else hub.add(subnets)
        profiles.append((site.router, device, protocol))
        ends[name] = (site.lan, site.lan.v4, site.lan.v6)
    hub.apply()
    for (node, device, protocol), name in zip(profiles, ends, strict=True):
        if isinstance(device, OpenVPNDevice):
            openvpns[name] = device
            lab.openvpn_up(node, hub.openvpn_profile(device), transport=protocol)
        else:
            lab.wg_quick_up(node, hub.profile(device))
        lab.wait_ping(node, hub.v4)
    return World(lab, hub, ends, openvpns)


@pytest.mark.parametrize("family", [4, 6])
def test_every_pair_of_peers_reaches_each_other(world: World, family: int) -> None:
    addresses = {name: v4 if family == 4 else v6 for name, (_, v4, v6) in world.ends.items()}

    def missing(name: str) -> set[tuple[str, str]]:
        others = {other: address for other, address in addresses.items() if other != name}
        answers = world.lab.answers(world.ends[name][0], list(others.values()))
        return {(name, other) for other, address in others.items() if address not in answers}

    with ThreadPoolExecutor(4) as pool:
        failed = set().union(*pool.map(missing, world.ends))
    assert len(addresses) * (len(addresses) - 1) == 56
    assert not failed


def test_packets_between_peers_pass_the_firewall(world: World) -> None:
    alice, bob = world.ends["alice"], world.ends["bob"]
    with world.lab.count(world.hub.node, f"ip saddr {alice[1]} ip daddr {bob[1]} udp dport 9") as counter:
        world.lab.inject(alice[0], alice[1], bob[1], "tun0")
        wait_until(lambda: counter.packets == 1, 5, "the packet at the hub")
    world.hub.forwarding = "deny"
    assert world.hub.apply_next().changed == {**NOTHING, "firewall": True}
    assert not world.lab.ping(alice[0], bob[1], timeout=0.4)
    assert not world.lab.ping(alice[0], bob[2], timeout=0.4)
    world.hub.forwarding = "allow"
    world.hub.apply_next()
    assert world.lab.ping(alice[0], bob[1])


def test_a_client_cannot_claim_another_source(world: World) -> None:
    lab, (alice, v4, v6), (lan, lan_v4, lan_v6) = world.lab, world.ends["alice"], world.ends["berlin"]
    with lab.count(lan, "udp dport 9") as counter:
        for source in (world.ends["bob"][1], world.ends["carol"][1], world.hub.v4, "127.0.0.1", "10.99.0.1", "8.8.8.8"):
            lab.inject(alice, source, lan_v4, "tun0")
        for source in (world.ends["bob"][2], world.ends["carol"][2], world.hub.v6, "fe80::1", "fd99::1"):
            lab.inject(alice, source, lan_v6, "tun0")
        lab.inject(alice, v4, lan_v4, "tun0")
        lab.inject(alice, v6, lan_v6, "tun0")
        wait_until(lambda: counter.packets >= 2, 5, "what Alice may send")
        assert counter.packets == 2


def test_sessions_are_reported(world: World) -> None:
    report = world.hub.status()
    sessions = report.sessions or {}
    assert report.alive
    assert set(sessions) == {device.peer_id for device in world.openvpns.values()}
    for name, listener in (("alice", "udp"), ("bob", "tcp"), ("berlin", "udp"), ("bern", "tcp")):
        session = sessions[world.openvpns[name].peer_id]
        assert session.listener == listener
        assert re.fullmatch(r"203\.0\.113\.\d+:\d+", session.endpoint or "")
        assert time.time() - 300 < session.connected_since <= time.time() + 1
        assert min(session.received_bytes, session.sent_bytes) > 1000
    assert len(report.peers or {}) == 4


def test_the_same_spec_twice_changes_nothing(world: World) -> None:
    assert world.hub.apply().changed == NOTHING
    assert world.hub.agent.once("apply", spec=world.hub.document)["report"]["changed"] == NOTHING


def test_the_channels_are_as_strong_as_they_should_be(world: World) -> None:
    for name in ("alice", "bob"):
        log = world.lab.openvpn_log(world.ends[name][0]).read_text()
        assert "Control Channel: TLSv1.3" in log
        assert re.search(r"Data Channel: cipher '(?:AES-256-GCM|CHACHA20-POLY1305)'", log)
        assert "redirect-gateway" not in log
        assert "dhcp-option" not in log
    # A site hears of the others' networks, not of its own.
    log = world.lab.openvpn_log(Node("berlin-router", "")).read_text()
    own = ".".join(world.ends["berlin"][1].split(".")[:3])
    assert f"route {own}.0" not in log
    assert log.count(",route 10.") == 3
    assert log.count(",route-ipv6 fd10:") == 3


def test_listeners_hold_as_few_rights_as_work(world: World) -> None:
    directory = world.lab.state / world.hub.hub / "openvpn"
    assert sorted(path.stem for path in directory.glob("*.conf")) == ["tcp", "udp"]
    group = directory.stat().st_gid
    assert group > 1000
    assert directory.parent.stat().st_mode & 0o777 == 0o700
    own = {directory / "run", directory / "shown"}
    for path in (directory, *directory.rglob("*")):
        found = path.stat()
        if path in own or path.parent in own:
            assert path.is_socket() or (found.st_uid, found.st_mode & 0o077) == (group, 0), path
        else:
            # The listeners read it, and nobody else does; they write to the pipe alone, and cannot replace it.
            assert (found.st_uid, found.st_mode & 0o007) == (0, 0), path
            assert path.is_fifo() or not found.st_mode & 0o020, path
    for listener in ("udp", "tcp"):
        pid = (directory / "run" / f"{listener}.pid").read_text().strip()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert {int(status[f"Cap{name}"], 16) for name in ("Bnd", "Prm", "Eff", "Inh", "Amb")} == {0}
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(group)}
        assert status["NoNewPrivs"] == "1"
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert int(re.findall(r"Max open files +(\d+)", limits)[0]) > 4096


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_clients_come_over_ipv6_too(world: World, protocol: str) -> None:
    lab, hub = world.lab, world.hub
    frank = lab.add_client(f"frank-{protocol}")
    device = hub.add_openvpn()
    hub.apply_next()
    lab.openvpn_up(frank, hub.openvpn_profile(device, host=lab.host.v6), transport=protocol)
    both = {world.ends["berlin"][1], world.ends["rome"][2]}
    wait_until(lambda: lab.answers(frank, list(both)) == both, 10, "both families")
    session = (hub.status().sessions or {})[device.peer_id]
    assert re.fullmatch(re.escape(f"[{frank.v6}]:") + r"[1-9]\d{3,4}", session.endpoint or "")
    assert session.listener == protocol


def test_the_host_may_have_several_addresses(world: World) -> None:
    lab, hub = world.lab, world.hub
    lab.add_address(lab.host, "203.0.113.3/24", "eth0")
    gina = lab.add_client("gina")
    device = hub.add_openvpn()
    hub.apply_next()
    lab.openvpn_up(gina, hub.openvpn_profile(device, host="203.0.113.3"))
    lab.wait_ping(gina, world.ends["bob"][1])


def test_whoever_knocks_cannot_fill_the_disk(world: World) -> None:
    lab, hub = world.lab, world.hub
    log = lab.state / hub.hub / "openvpn" / "run" / "tcp.log"
    before = log.stat().st_size
    for _ in range(5):
        assert lab.can_connect(world.ends["carol"][0], lab.host.v4, hub.port + 1)
    assert log.stat().st_size == before
    assert 0 < before < 10_000


def test_all_traffic_goes_through_the_hub_when_asked_for(world: World) -> None:
    lab, hub = world.lab, world.hub
    hub.dns = ("9.9.9.9", "2620:fe::fe")
    erin = lab.add_client("erin")
    hub.connect_openvpn(erin, route_all=True)
    for address, family in ((OUTSIDE_V4, "ip"), (OUTSIDE_V6, "ip6")):
        with lab.count(hub.node, f"{family} daddr {address} iifname ou-{hub.hub}") as counter:
            assert lab.ping(erin, address)
            assert counter.packets > 0
        assert lab.ping(erin, address, count=3)
    log = lab.openvpn_log(erin).read_text()
    assert "redirect-gateway def1 ipv6,block-outside-dns,dhcp-option DNS 9.9.9.9,dhcp-option DNS6 2620:fe::fe" in log
    assert ",route 10." not in log
    # What is private elsewhere is as far away as ever.
    assert not lab.ping(erin, "10.250.0.1", timeout=0.4)
    assert lab.answers(erin, [world.ends["paris"][1], world.ends["bern"][2]]) == {
        world.ends["paris"][1],
        world.ends["bern"][2],
    }


def test_the_compatibility_listener_is_there_for_those_who_need_it_alone(world: World) -> None:
    lab, hub = world.lab, world.hub
    alice = world.ends["alice"]
    listening = ["ss", "-Hltn", f"sport = :{hub.port}"]
    assert lab.run(lab.host, listening).stdout == ""
    ping = lab.start_ping(alice[0], world.ends["bern"][1], 0.02)
    ping.wait_for_replies()
    router = lab.add_site("mikrotik")
    device = hub.connect_openvpn(router.router, subnets=(router.lan_v4, router.lan_v6), compat=True)
    assert lab.run(lab.host, listening).stdout != ""
    ping.wait_for_replies()
    assert ping.stop().lost == 0, "the other listeners were left alone"
    log = lab.openvpn_log(router.router).read_text()
    assert "Control Channel: TLSv1.2" in log
    assert "Data Channel: cipher 'AES-256-CBC', auth 'SHA1'" in log
    others = {address for name in ("alice", "carol", "bern", "rome") for address in world.ends[name][1:]}
    assert lab.answers(router.router, list(others)) == others
    # Alice hears of the new site when she connects again, with the profile that she has.
    lab.openvpn_down(alice[0])
    lab.openvpn_up(alice[0], hub.openvpn_profile(world.openvpns["alice"]))
    lab.wait_ping(alice[0], router.lan.v4)
    assert lab.answers(router.lan, [alice[1], alice[2]]) == {alice[1], alice[2]}
    assert (hub.status().sessions or {})[device.peer_id].listener == "compat"

    # Whoever may use the main listeners may not come in through this one.
    weak = hub.openvpn_profile(dataclasses.replace(world.openvpns["bob"], compat=True))
    stranger = lab.add_client("stranger")
    lab.openvpn_start(stranger, weak)
    wait_until(lambda: "AUTH_FAILED" in lab.openvpn_log(stranger).read_text(), 10, "the refusal")
    lab.openvpn_down(stranger)

    lab.openvpn_down(router.router)
    del hub.devices[device.peer_id]
    assert hub.authority is not None
    hub.authority.compat_port = None
    assert hub.apply_next().changed["openvpn"]
    assert lab.run(lab.host, listening).stdout == ""
    assert hub.apply().changed == NOTHING
