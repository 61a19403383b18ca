"""Firewall rules with stock clients of both protocols over both families: what passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import pytest

from tests.lab.devices import EVERYTHING, POOL_V4, POOL_V6, Device, OpenVPNDevice
from tests.lab.prober import OPEN
from tests.lab.traffic import PacketCounter
from tests.lab.waiting import wait_until
from tests.network.firewall_world import BOARD, DATA, MAIL, SITES, STAFF, USERS, WEB, World, rule, web
from vpn.agent.firewall.sets import set_name
from vpn.wire.documents import RuleDocument
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)
NAMES = ("alice", "bob", "berlin", "paris")
PAIRS = [(source, target) for source in NAMES for target in NAMES if source != target]
Asked = tuple[str, str, str, int]


@pytest.fixture
def world(firewall_world: World) -> World:
    return firewall_world


def _has_come(counter: PacketCounter) -> bool:
    return counter.packets > 0


def test_the_policy_decides_between_peers_alone(world: World) -> None:
    everything = [(source, protocol, target, WEB) for source, target in PAIRS for protocol in ("tcp", "udp", "icmp")]
    outside = [(source, "udp", "outside", WEB) for source in ("alice", "bob")]
    world.apply(policy="allow")
    world.passes(*everything, *outside)
    world.apply(policy="deny")
    world.ends(*everything)
    world.passes(*outside)


ANNA, BEN, BERLIN, PARIS = USERS["alice"], USERS["bob"], SITES["berlin"], SITES["paris"]
CASES: dict[str, tuple[list[RuleDocument], list[Asked], list[Asked]]] = {
    "a member to a site": ([rule("accept", ANNA, PARIS)], [web("alice", "paris")], [web("bob", "paris")]),
    "a site to a member": ([rule("accept", PARIS, BEN)], [web("paris", "bob")], [web("bob", "paris")]),
    "a site to a site": ([rule("accept", BERLIN, PARIS)], [web("berlin", "paris")], [web("paris", "berlin")]),
    "to anybody": ([rule("accept", BEN)], [web("bob", "alice"), web("bob", "berlin")], [web("alice", "bob")]),
    "from anybody": (
        [rule("accept", "any", ANNA)],
        [web("bob", "alice"), web("paris", "alice")],
        [web("alice", "bob")],
    ),
    "tcp": ([rule("accept", ANNA, BERLIN, "tcp")], [web("alice", "berlin")], [("alice", "udp", "berlin", WEB)]),
    "udp": ([rule("accept", ANNA, BERLIN, "udp")], [("alice", "udp", "berlin", WEB)], [web("alice", "berlin")]),
    "one port": (
        [rule("accept", BEN, PARIS, "tcp", (DATA, DATA))],
        [("bob", "tcp", "paris", DATA)],
        [web("bob", "paris"), ("bob", "udp", "paris", DATA)],
    ),
    "a range of ports of any protocol": (
        [rule("accept", BEN, PARIS, "any", (WEB, DATA))],
        [("bob", "tcp", "paris", DATA), ("bob", "udp", "paris", WEB)],
        [("bob", "tcp", "paris", MAIL), ("bob", "icmp", "paris", 0)],
    ),
    "the first that matches": (
        [rule("drop", ANNA, PARIS, "tcp", (DATA, DATA)), rule("accept", ANNA), rule("drop", "any", PARIS)],
        [web("alice", "paris"), web("alice", "bob")],
        [("alice", "tcp", "paris", DATA), web("bob", "paris")],
    ),
    "to the internet": (
        [rule("drop", ANNA, "any", "tcp", (WEB, WEB)), rule("accept", BEN, "any", "tcp", (MAIL, MAIL))],
        [("alice", "udp", "outside", WEB), web("bob", "outside"), ("alice", "tcp", "outside", DATA)],
        [web("alice", "outside"), ("bob", "tcp", "outside", MAIL)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rules_say_who_reaches_whom(world: World, name: str) -> None:
    rules, passing, ending = CASES[name]
    world.apply(*rules)
    world.passes(*passing)
    world.ends(*ending)


def test_networks_as_ends_of_rules(world: World) -> None:
    berlin, device = world.berlin, world.devices["bob"]
    world.apply(
        rule("accept", f"{device.v4}/32", berlin.lan_v4),
        rule("accept", f"{device.v6}/128", berlin.lan_v6),
        rule("accept", "0.0.0.0/0", world.paris.lan_v4, "tcp"),
        rule("accept", "::/0", world.paris.lan_v6, "tcp"),
    )
    world.passes(web("bob", "berlin"), web("alice", "paris"))
    world.ends(web("alice", "berlin"), ("alice", "udp", "paris", WEB))


def test_each_family_has_its_own_ping(world: World) -> None:
    world.apply(rule("accept", ANNA, PARIS, "icmp"))
    assert world.results(("alice", "icmp", "paris", 0)) == {
        "alice icmp paris 0 v4": "open",
        "alice icmp paris 0 v6": "silent",
    }
    world.apply(rule("accept", ANNA, PARIS, "icmpv6"))
    assert world.results(("alice", "icmp", "paris", 0)) == {
        "alice icmp paris 0 v4": "silent",
        "alice icmp paris 0 v6": "open",
    }
    world.ends(web("alice", "paris"))


def test_who_is_rejected_is_told_so(world: World) -> None:
    world.apply(rule("reject", ANNA, PARIS), rule("reject", BEN, "any", "tcp"), policy="allow")
    world.ends(web("alice", "paris"), ("alice", "udp", "paris", WEB), as_=("refused",))
    world.ends(web("bob", "alice"), web("bob", "outside"), as_=("refused",))
    world.passes(("bob", "udp", "alice", WEB), web("paris", "alice"))


def test_rules_follow_a_groups_members_by_delta(world: World) -> None:
    world.apply(rule("accept", STAFF, PARIS), rule("drop", BOARD, BERLIN), rule("accept", "any", BERLIN))
    world.ends(web("alice", "paris"), web("bob", "paris"))
    for name in ("alice", "bob"):
        assert world.tag(name, STAFF).changed == {**NOTHING, "firewall": True}
        world.passes(web(name, "paris"), web(name, "berlin"))
    world.tag("alice", BOARD)
    world.ends(web("alice", "paris"), web("alice", "berlin"))
    world.passes(web("bob", "paris"))
    assert world.hub.apply().changed == NOTHING


def test_a_network_inside_a_wider_one_is_its_own_peers(world: World) -> None:
    """Paris has a default route. Berlin's LAN and the tunnel addresses still belong to their own peers."""
    world.apply(rule("accept", ANNA, PARIS), rule("accept", PARIS, BEN))
    paris = world.devices["paris"]
    world.devices["paris"] = type(paris)(**{**vars(paris), "subnets": (*paris.subnets, "10.0.0.0/8", "fd10::/16")})
    world.hub.send(world.hub.delta(upsert=[world.devices["paris"]]))
    # An OpenVPN router whose networks change connects anew.
    wait_until(lambda: set(world.results(web("alice", "paris")).values()) == {OPEN}, 20, "Paris to be connected again")
    world.passes(web("alice", "paris"), web("paris", "bob"))
    world.ends(web("alice", "berlin"), web("berlin", "bob"))
    assert world.hub.apply().changed == NOTHING


# Flows that are open while rules change.


@pytest.mark.parametrize("version", [4, 6])
def test_errors_about_allowed_flows_come_back(world: World, version: int) -> None:
    world.apply(rule("accept", ANNA, PARIS), rule("accept", ANNA, BERLIN))
    hops = ["ping", "-n", "-c", "3", "-i", "0.2", "-t", "2"]
    for site in ("berlin", "paris"):
        answer = world.lab.run(world.alice, [*hops, world.address(site, version)], check=False).stdout
        assert "ime to live exceeded" in answer or "Hop limit" in answer, answer


# Forged sources: whose address it is and the protocol; then the sender and that address.
FORGED: dict[str, tuple[str, Callable[[World, int], str]]] = {
    "a member over OpenVPN": ("alice", lambda world, version: world.address("bob", version)),
    "a member over WireGuard": ("bob", lambda world, version: world.address("alice", version)),
    "a site over OpenVPN": ("alice", lambda world, version: world.address("paris", version)),
    "a site over WireGuard": ("bob", lambda world, version: world.address("berlin", version)),
    "nobody, over WireGuard": ("alice", lambda world, version: str((POOL_V4 if version == 4 else POOL_V6)[99])),
    "nobody, over OpenVPN": ("bob", lambda world, version: str((POOL_V4 if version == 4 else POOL_V6)[99])),
    "the hub, over OpenVPN": ("bob", lambda world, version: world.hub.v4 if version == 4 else world.hub.v6),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("claim", FORGED)
def test_nobody_passes_for_somebody_else(world: World, claim: str, version: int) -> None:
    name, address = FORGED[claim]
    world.apply(policy="allow")
    lab, sender = world.lab, world.node(name)
    device = "wg0" if name == "alice" else "tun0"
    target = "paris" if "WireGuard" in claim else "berlin"
    family = "ip" if version == 4 else "ip6"
    there = world.node(target)
    honest, forged = world.address(name, version), address(world, version)
    with (
        lab.count(there, f"{family} saddr {forged} udp dport 9") as tried,
        lab.count(there, f"{family} saddr {honest} udp dport 9") as behind,
    ):
        lab.inject(sender, forged, world.address(target, version), device)
        lab.inject(sender, honest, world.address(target, version), device)
        wait_until(lambda: behind.packets > 0, what="the packet that must arrive")
        assert tried.packets == 0


def test_what_is_foreign_is_named_and_undone(world: World) -> None:
    world.apply(rule("accept", STAFF, PARIS), rule("accept", ANNA, BERLIN))
    world.tag("bob", STAFF)
    node, listed = world.hub.node, world.hub
    for change in (
        "add element inet hub {user} { 100.64.0.77 }",
        "flush set inet hub {group}",
        "flush map inet hub binding",
        "add rule inet hub evaluate accept",
        "flush chain inet hub rules_v4",
        "add chain inet hub theirs",
    ):
        names = {"user": set_name(ANNA, 4), "group": set_name(STAFF, 4)}
        world.lab.run(node, ["nft", change.replace("{user}", names["user"]).replace("{group}", names["group"])])
        assert listed.apply().changed == {**NOTHING, "firewall": True}, change
        assert listed.apply().changed == NOTHING, change
        world.passes(web("bob", "paris"), web("alice", "berlin"))
        world.ends(web("alice", "paris"))


def test_a_delta_repairs_what_it_cannot_change(world: World) -> None:
    world.apply(rule("accept", STAFF, PARIS))
    world.lab.run(world.hub.node, ["nft", "delete", "table", "inet", "hub"])
    assert world.tag("bob", STAFF).changed["firewall"]
    world.passes(web("bob", "paris"))
    world.ends(web("alice", "paris"))
    assert world.hub.apply().changed == NOTHING


def test_a_site_with_everything_behind_it_stays_within_what_is_its_own(world: World) -> None:
    """Paris, with a default route, may use any source but Bob's, even within Bob's flow while he is disconnected."""
    world.apply(policy="allow")
    lab, paris, bob = world.lab, world.devices["paris"], world.devices["bob"]
    world.devices["paris"] = type(paris)(**{**vars(paris), "subnets": (*paris.subnets, "64.0.0.0/2")})
    world.hub.send(world.hub.delta(upsert=[world.devices["paris"]]))
    lab.wait_ping(world.paris.router, world.hub.v4)
    target = world.address("alice", 4)
    lab.inject(world.bob, bob.v4, target, "tun0")
    with (
        lab.count(world.alice, f"ip saddr {bob.v4} udp dport 9") as tried,
        lab.count(world.alice, "ip saddr 66.6.6.6 udp dport 9") as behind,
    ):
        lab.openvpn_down(world.bob)
        wait_until(lambda: bob.peer_id not in (world.hub.status().sessions or {}), 10, "Bob's session to be over")
        for source in (bob.v4, "66.6.6.6"):
            lab.inject(world.paris.router, source, target, "tun0")
        wait_until(lambda: behind.packets > 0, what="the packet that must arrive")
        assert tried.packets == 0
    assert not isinstance(bob, Device)
    lab.openvpn_up(world.bob, world.hub.openvpn_profile(bob))
    lab.wait_ping(world.bob, world.hub.v4)


@pytest.mark.parametrize("version", [4, 6])
def test_a_site_with_everything_behind_it_has_nothing_of_who_is_away(world: World, version: int) -> None:
    """While Paris and Bob are disconnected, Berlin can neither use their addresses nor receive their traffic."""
    world.apply(policy="allow")
    lab, berlin, hub = world.lab, world.devices["berlin"], world.hub
    world.devices["berlin"] = dataclasses.replace(berlin, subnets=(*berlin.subnets, *EVERYTHING))
    hub.send(hub.delta(upsert=[world.devices["berlin"]]))
    lab.wait_ping(world.berlin.router, hub.v4)
    family, elsewhere = ("ip", "66.6.6.6") if version == 4 else ("ip6", "2606:6666::6")
    away = {"paris": world.paris.router, "bob": world.bob}
    alice = world.address("alice", version)
    for node in away.values():
        lab.openvpn_down(node)
    wait_until(lambda: not hub.status().sessions, 10, "the sessions to be over")
    for name in away:
        absent = world.address(name, version)
        for sender, target in ((world.berlin.router, world.alice), (world.alice, world.berlin.router)):
            end = "saddr" if target is world.alice else "daddr"
            with (
                lab.count(target, f"{family} {end} {absent} udp dport 9") as tried,
                lab.count(target, f"{family} {end} {elsewhere} udp dport 9") as behind,
            ):
                for address in (absent, elsewhere):
                    ways = (address, alice) if end == "saddr" else (alice, address)
                    lab.inject(sender, *ways, "wg0")
                wait_until(partial(_has_come, behind), what="the packet that must arrive")
                assert tried.packets == 0, (name, end)
    assert hub.apply().changed == NOTHING
    assert not hub.status().drift
    for name, node in away.items():
        device = world.devices[name]
        assert isinstance(device, OpenVPNDevice)
        lab.openvpn_up(node, hub.openvpn_profile(device))
        lab.wait_ping(node, hub.v4)
    world.passes(web("alice", "paris"), web("paris", "alice"), web("alice", "bob"), web("berlin", "paris"))
