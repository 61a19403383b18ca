"""Firewall rules with stock clients of both protocols over both families: what passes, and which flows end."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.lab.devices import EVERYTHING, POOL_V4, POOL_V6, Device, OpenVPNDevice
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4
from tests.lab.prober import OPEN
from tests.lab.traffic import PacketCounter
from tests.lab.waiting import wait_until
from tests.network.firewall_world import BOARD, DATA, MAIL, SITES, STAFF, USERS, WEB, World, build, rule
from vpn.agent.firewall.sets import set_name
from vpn.wire.documents import RuleDocument
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)
NAMES = ("alice", "bob", "berlin", "paris")
PAIRS = [(source, target) for source in NAMES for target in NAMES if source != target]
Asked = tuple[str, str, str, int]


@pytest.fixture(scope="module")
def everybody() -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as lab:
        built = build(lab)
        yield built
        built.probers.close()
        built.agent.close()


@pytest.fixture
def world(everybody: World) -> Iterator[World]:
    """The shared world; its tags and subnets are restored afterwards."""
    before = dict(everybody.devices)
    yield everybody
    for name in ("alice", "bob"):
        everybody.probers.end(everybody.node(name))
    changed = [device for name, device in before.items() if everybody.devices[name] != device]
    everybody.devices.update(before)
    if changed:
        everybody.hub.send(everybody.hub.delta(upsert=changed))
        # A session over OpenVPN begins anew with other networks.
        for node in (everybody.paris.router, everybody.bob):
            everybody.lab.wait_ping(node, everybody.hub.v4)


def _has_come(counter: PacketCounter) -> bool:
    return counter.packets > 0


def web(source: str, target: str) -> Asked:
    return (source, "tcp", target, WEB)


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


def begin(world: World, *targets: str) -> None:
    """Open flows of Alice's and Bob's to those targets, over everything there is, and wait until all of them run."""
    for name in ("alice", "bob"):
        for target in targets:
            for protocol in ("tcp", "udp"):
                for version in (4, 6):
                    flow = f"{target} {protocol} v{version}"
                    world.probers.begin(world.node(name), flow, protocol, world.address(target, version), WEB)
    for name in ("alice", "bob"):
        wait_until(
            lambda name=name: all(each.heard > 3 for each in world.probers.flows(world.node(name)).values()),  # type: ignore[misc]
            what=f"{name}'s flows",
        )


def ended(world: World, name: str, target: str, since: float) -> None:
    """Assert that a machine's flows to a target end within a second, counted from `since` (Unix time)."""

    def are_over() -> bool:
        now = time.time()
        flows = world.probers.flows(world.node(name))
        return all(flow.over or now - flow.heard_at > 0.5 for key, flow in flows.items() if key.startswith(target))

    wait_until(are_over, 5, f"the end of {name}'s flows to {target}")
    for key, flow in world.probers.flows(world.node(name)).items():
        assert not key.startswith(target) or flow.heard_at < since + 1.0, (name, key)


def go_on(world: World, name: str, target: str) -> None:
    """Assert that a machine's flows to a target have had no gap, and still run."""
    before = world.probers.flows(world.node(name))
    wait_until(
        lambda: all(
            flow.heard > before[key].heard + 3
            for key, flow in world.probers.flows(world.node(name)).items()
            if key.startswith(target)
        ),
        what=f"{name}'s flows to {target}",
    )
    for key, flow in world.probers.flows(world.node(name)).items():
        if key.startswith(target):
            assert not flow.over, (name, key)
            assert flow.longest < 2, (name, key, flow)  # on a machine that may be busy; lost packets are counted below
            assert key.split()[1] == "tcp" or flow.heard >= flow.sent - 2, (name, key, flow)


def test_flows_end_with_the_rule_that_let_them_pass(world: World) -> None:
    to_sites = rule("accept", "any", PARIS)
    world.apply(to_sites, rule("accept", "any", BERLIN))
    begin(world, "paris", "berlin")
    world.apply(to_sites)
    since = time.time()
    for name in ("alice", "bob"):
        ended(world, name, "berlin", since)
        go_on(world, name, "paris")


@pytest.mark.parametrize("action", ["drop", "reject"])
def test_flows_end_with_a_rule_against_them(world: World, action: str) -> None:
    world.apply(policy="allow")
    begin(world, "paris", "berlin", "outside")
    world.apply(rule(action, "any", PARIS), rule(action, ANNA, f"{OUTSIDE_V4}/32"), policy="allow")
    since = time.time()
    for name in ("alice", "bob"):
        ended(world, name, "paris", since)
        go_on(world, name, "berlin")
    ended(world, "alice", "outside tcp v4", since)
    ended(world, "alice", "outside udp v4", since)
    go_on(world, "alice", "outside tcp v6")
    go_on(world, "bob", "outside")


def test_flows_end_with_the_policy(world: World) -> None:
    world.apply(policy="allow")
    begin(world, "paris", "berlin", "outside")
    pings = [world.lab.start_ping(world.node("alice"), world.address("paris", version)) for version in (4, 6)]
    for ping in pings:
        ping.wait_for_replies()
    world.apply(rule("accept", ANNA, BERLIN), policy="deny")
    since = time.time()
    ended(world, "alice", "paris", since)
    ended(world, "bob", "paris", since)
    ended(world, "bob", "berlin", since)
    go_on(world, "alice", "berlin")
    go_on(world, "alice", "outside")
    for ping in pings:
        last = ping.replies()[-1][0]
        assert last < since + 1
        ping.stop()


def test_flows_end_with_the_membership_that_let_them_pass(world: World) -> None:
    world.apply(rule("accept", STAFF, PARIS), rule("accept", STAFF, BERLIN))
    world.tag("alice", STAFF)
    world.tag("bob", STAFF)
    begin(world, "paris", "berlin")
    world.tag("alice", ANNA)
    since = time.time()
    ended(world, "alice", "paris", since)
    ended(world, "alice", "berlin", since)
    go_on(world, "bob", "paris")
    go_on(world, "bob", "berlin")


def test_flows_end_when_a_subnet_is_taken_from_its_site(world: World) -> None:
    world.apply(rule("accept", "any", PARIS), rule("accept", "any", BERLIN))
    begin(world, "paris", "berlin")
    for site in ("berlin", "paris"):
        device = world.devices[site]
        world.devices[site] = type(device)(**{**vars(device), "subnets": ()})
        world.hub.send(world.hub.delta(upsert=[world.devices[site]]))
        since = time.time()
        for name in ("alice", "bob"):
            ended(world, name, site, since)
            if site == "berlin":
                go_on(world, name, "paris")


def test_no_window_opens_and_no_gap_while_rules_change(world: World) -> None:
    always, never = rule("accept", "any", PARIS), rule("drop", "any", BERLIN)
    world.apply(always, never)
    begin(world, "paris")
    with (
        world.lab.count(world.node("berlin"), f"tcp dport {WEB}") as tcp,
        world.lab.count(world.node("berlin"), f"udp dport {WEB}") as udp,
    ):
        for name in ("alice", "bob"):
            for version in (4, 6):
                world.probers.begin(world.node(name), f"berlin {version}", "udp", world.address("berlin", version), WEB)
        target = world.address("paris", 4)
        flood = [world.lab.start_ping(world.node(name), target, 0.002) for name in ("alice", "bob")]
        for turn in range(12):
            more = [rule("accept", ANNA, PARIS, "tcp", (port, port)) for port in range(1, 1 + 20 * (turn % 3))]
            world.apply(*more, always, never, policy="allow" if turn % 2 else "deny")
        assert [ping.stop().lost for ping in flood] == [0, 0]
        assert (tcp.packets, udp.packets) == (0, 0)
    for name in ("alice", "bob"):
        go_on(world, name, "paris")


def test_changed_rules_change_the_table_in_place(world: World) -> None:
    """A table that is deleted and loaded anew drops single packets: its sets are empty for a moment."""
    world.apply(rule("accept", "any", PARIS))
    before = _handle(world)
    for rules in ([rule("drop", ANNA, BERLIN), rule("accept", "any", PARIS)], [rule("accept", BEN, BERLIN)], []):
        world.apply(*rules, policy="allow")
    assert _handle(world) == before


def _handle(world: World) -> str:
    """Return the line of the hub's table in a listing, with the number that the kernel gave it when it was made."""
    listing = world.lab.run(world.hub.node, ["nft", "-a", "list", "table", "inet", "hub"]).stdout
    (line,) = re.findall(r"^table inet hub .*# handle \d+$", listing, re.MULTILINE)
    return str(line)


@pytest.mark.parametrize("nested", [False, True], ids=["their own", "within another site's"])
def test_networks_that_stay_are_not_loaded_again(world: World, nested: bool, tmp_path: Path) -> None:
    """A packet may find neither the former nor the new element where both come in one transaction."""
    berlin, paris, hub = world.devices["berlin"], world.devices["paris"], world.hub
    if nested:
        world.devices["berlin"] = dataclasses.replace(berlin, subnets=(*berlin.subnets, "10.77.0.0/16"))
        hub.send(hub.delta(upsert=[world.devices["berlin"]]))
    world.apply(rule("accept", "any", BERLIN), rule("accept", "any", PARIS))
    changed = "paris" if nested else "berlin"
    device = paris if nested else berlin
    with _changes(world, tmp_path / "changes") as changes:
        for network in ("10.77.1.0/24", "10.77.2.0/24"):
            world.devices[changed] = dataclasses.replace(device, subnets=(*device.subnets, network))
            hub.send(hub.delta(upsert=[world.devices[changed]]))
        wait_until(lambda: "10.77.2.0/24" in changes(), what="the changes as the kernel tells them")
        assert not [line for line in changes().splitlines() if berlin.subnets[0] in line or paris.subnets[0] in line]


@contextmanager
def _changes(world: World, output: Path) -> Iterator[Callable[[], str]]:
    """Give what nft(8) tells of changes in the hub's namespace from here on."""
    with output.open("w") as stream:
        monitor = world.lab.start(world.hub.node, ["nft", "monitor"], stdout=stream)

    def is_told() -> bool:
        for verb in ("add", "delete"):
            world.lab.run(world.hub.node, ["nft", verb, "table", "inet", "monitored"])
        return output.stat().st_size > 0

    try:
        wait_until(is_told, what="a change that is told")
        yield output.read_text
    finally:
        monitor.kill()
        monitor.wait(10)


def test_hits_are_counted_and_kept(world: World) -> None:
    first, second = rule("accept", ANNA, PARIS, "tcp"), rule("drop", ANNA, PARIS)
    world.apply(first, second)
    world.passes(web("alice", "paris"))
    world.ends(("alice", "udp", "paris", WEB))
    hits = world.hub.status().hits
    assert hits == {first["id"]: 2, second["id"]: 2}
    third = rule("accept", BEN, PARIS)
    world.apply(third, second, first)
    hits = world.hub.status().hits
    assert hits == {first["id"]: 2, second["id"]: 2, third["id"]: 0}
    world.lab.run(world.hub.node, ["nft", "add", "chain", "inet", "hub", "output", "{ policy accept; }"])
    assert world.hub.apply().changed == {**NOTHING, "firewall": True}
    assert world.hub.status().hits == hits
    world.apply(third)
    assert world.hub.status().hits == {third["id"]: 0}


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
