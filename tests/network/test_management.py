"""Management of routers from headquarters, with packets: who opens a router's own port through the tunnel, and who not.

Berlin's LAN is headquarters; Paris and Berlin have routers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.nodes import Node
from tests.lab.probing import OPEN, Probers, Question
from tests.lab.waiting import wait_until
from tests.network.firewall_world import SITES, STAFF, USERS, World, rule
from vpn.router_services import management_rules
from vpn.wire.rules import ROUTERS

SSH, HTTPS = 22, 443
FAMILIES = (4, 6)


@pytest.fixture
def world(firewall_world: World) -> World:
    for name in SITES:
        firewall_world.tag(name, ROUTERS, SITES[name])
    firewall_world.tag("bob", USERS["bob"], STAFF)
    return firewall_world


@pytest.fixture
def probers(world: World) -> Iterator[Probers]:
    """Everybody answers on the ports of SSH and HTTPS, routers at their tunnel addresses."""
    made = Probers(world.lab, (SSH, HTTPS))
    for name in ("alice", "bob"):
        made.start(world.node(name))
    for name, site in (("berlin", world.berlin), ("paris", world.paris)):
        made.add(site.router, [world.devices[name].v4, world.devices[name].v6])
        made.add(site.lan, [site.lan.v4, site.lan.v6])
    yield made
    made.close()


def opens(world: World, probers: Probers, node: Node, target: str, port: int) -> bool:
    """Does a machine open a port of a site's router over both families?"""
    return _results(world, probers, node, target, port, expected=True) == {OPEN}


def is_refused(world: World, probers: Probers, node: Node, target: str, port: int, *, lan: bool = False) -> bool:
    """Is it refused over both families, at the site's router or at the machine in its LAN?"""
    return OPEN not in _results(world, probers, node, target, port, expected=False, lan=lan)


def _results(
    world: World, probers: Probers, node: Node, target: str, port: int, *, expected: bool, lan: bool = False
) -> set[str]:
    questions = []
    for version in FAMILIES:
        device = world.devices[target]
        address = world.address(target, version) if lan else (device.v4 if version == 4 else device.v6)
        questions.append(Question(node.name, "tcp", address, port, expected))
    return set(probers.ask(questions))


def test_only_headquarters_reaches_routers_and_only_by_the_named_services(world: World, probers: Probers) -> None:
    # A rule that drops everything comes after those for management.
    world.apply(*management_rules(["ssh"], [SITES["berlin"]]), rule("drop"), policy="deny")
    berlin, paris = world.berlin.lan, world.paris.lan
    assert opens(world, probers, berlin, "paris", SSH)
    assert is_refused(world, probers, berlin, "paris", HTTPS)
    assert is_refused(world, probers, berlin, "paris", SSH, lan=True)
    assert is_refused(world, probers, paris, "berlin", SSH)
    for name in ("alice", "bob"):
        assert is_refused(world, probers, world.node(name), "paris", SSH)
    world.apply(*management_rules(["ssh", "https"], [STAFF]), policy="deny")
    for port in (SSH, HTTPS):
        assert opens(world, probers, world.bob, "paris", port)
        assert is_refused(world, probers, world.alice, "paris", port)
    assert is_refused(world, probers, berlin, "paris", SSH)


def test_a_connection_ends_as_soon_as_management_is_off(world: World, probers: Probers) -> None:
    world.apply(*management_rules(["ssh"], [SITES["berlin"]]), policy="deny")
    berlin, device = world.berlin.lan, world.devices["paris"]
    for version, address in ((4, device.v4), (6, device.v6)):
        probers.begin(berlin, f"v{version}", "tcp", address, SSH)
    wait_until(lambda: all(each.heard > 3 for each in probers.flows(berlin).values()), 60, "the flows")
    world.apply(policy="deny")
    since = time.time()

    def are_over() -> bool:
        now = time.time()
        return all(flow.over or now - flow.heard_at > 0.5 for flow in probers.flows(berlin).values())

    wait_until(are_over, 60, "the end of the flows")
    # The limit of a change of rules (test_firewall_changes).
    assert all(flow.heard_at < since + 1.0 for flow in probers.flows(berlin).values())
    assert is_refused(world, probers, berlin, "paris", SSH)
