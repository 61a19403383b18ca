"""Firewall rules that change while traffic flows: which flows end, which go on, and what stays in the kernel."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.nodes import OUTSIDE_V4
from tests.lab.waiting import wait_until
from tests.network.firewall_world import SITES, STAFF, USERS, WEB, World, rule, web
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)
ANNA, BEN, BERLIN, PARIS = USERS["alice"], USERS["bob"], SITES["berlin"], SITES["paris"]


@pytest.fixture
def world(firewall_world: World) -> World:
    return firewall_world


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
            assert flow.lost <= 2, (name, key, flow)


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
