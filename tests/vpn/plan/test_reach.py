"""Who reaches whom through a hub: the evaluator against the plainest reading of the rules."""

from __future__ import annotations

import uuid
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vpn.plan import drawn
from vpn.reach.first_packet import Reach
from vpn.reach.hub import End, Hub
from vpn.wire.rules import Rule

ANNA: Final = f"user:{uuid.UUID(int=16)}"
BERLIN: Final = f"site:{uuid.UUID(int=32)}"
LAPTOP, OFFICE = str(uuid.UUID(int=2)), str(uuid.UUID(int=3))
PEERS: Final = {
    LAPTOP: End(("100.64.0.2/32", "fd12:3456:789a::2/128"), (ANNA,)),
    OFFICE: End(("100.64.0.3/32", "fd12:3456:789a::3/128", "10.1.0.0/24"), (BERLIN,)),
}


def rule(
    action: str, source: str, destination: str, protocol: str = "any", ports: tuple[int, int] | None = None
) -> Rule:
    """A rule with an id of its own."""
    return Rule(str(uuid.uuid4()), action, protocol, ports, source, destination)


def reach(*rules: Rule, allows: bool = True) -> Reach:
    """A hub with Anna's laptop and the office in Berlin."""
    return Reach(Hub(drawn.HUB, PEERS, rules, allows))


@pytest.mark.parametrize("allows", [True, False])
def test_without_rules_the_policy_decides_between_peers(allows: bool) -> None:
    hub = reach(allows=allows)
    assert hub.passes("100.64.0.2", "10.1.0.9", "tcp", 443) is allows
    assert hub.passes("10.1.0.9", "fd12:3456:789a::2", "tcp", 443) is False
    assert hub.passes("fd12:3456:789a::2", "fd12:3456:789a::3", "icmpv6") is allows


def test_the_first_rule_that_matches_decides() -> None:
    hub = reach(rule("accept", ANNA, BERLIN, "tcp", (443, 443)), rule("drop", ANNA, BERLIN))
    assert hub.passes("100.64.0.2", "10.1.0.9", "tcp", 443)
    assert not hub.passes("100.64.0.2", "10.1.0.9", "tcp", 444)
    assert not hub.passes("100.64.0.2", "10.1.0.9", "udp", 443)
    assert not hub.passes("100.64.0.2", "10.1.0.9", "icmp")
    assert hub.passes("10.1.0.9", "100.64.0.2", "tcp", 444)


def test_the_internet_is_open_but_for_private_ranges_and_mail() -> None:
    hub = reach(rule("accept", "any", "any"), allows=False)
    assert hub.passes("100.64.0.2", "203.0.113.5", "tcp", 443)
    assert not hub.passes("100.64.0.2", "203.0.113.5", "tcp", 25)
    assert hub.passes("100.64.0.2", "203.0.113.5", "udp", 25)
    assert not hub.passes("100.64.0.2", "192.168.3.3", "tcp", 443)
    assert not hub.passes("100.64.0.2", "169.254.169.254", "tcp", 80)


def test_what_is_nobodys_neither_sends_nor_is_reached() -> None:
    hub = reach(rule("accept", "any", "any"))
    assert not hub.passes("203.0.113.5", "100.64.0.2", "tcp", 443)
    assert not hub.passes("100.64.0.9", "100.64.0.2", "tcp", 443)
    assert not hub.passes("100.64.0.2", "100.64.0.9", "tcp", 443)
    assert not hub.passes("100.64.0.2", "100.64.0.1", "udp", 53)


@given(drawn.hubs(), st.data())
def test_it_agrees_with_the_plainest_reading(hub: Hub, data: st.DataObject) -> None:
    prepared = Reach(hub)
    for _ in range(25):
        source, destination = (data.draw(st.sampled_from(drawn.ADDRESSES)) for _ in range(2))
        protocol, port = data.draw(st.sampled_from(drawn.FLOWS))
        expected = drawn.plainly(hub, source, destination, protocol, port)
        assert prepared.passes(source, destination, protocol, port) == expected, (source, destination, protocol, port)
