"""The listed differences between two hubs against what the evaluator says of each."""

from __future__ import annotations

import ipaddress
import os
import random
import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vpn.plan import drawn
from vpn.reach.counts import Counts
from vpn.reach.first_packet import Reach
from vpn.reach.hub import End, Hub
from vpn.reach.listing import Line
from vpn.reach.reachability import differences, lines_of
from vpn.wire.rules import Rule

# `make test` draws few; REACHABILITY_EXAMPLES=20000 takes an hour.
_EXAMPLES: Final = int(os.environ.get("REACHABILITY_EXAMPLES", "100"))
ANNA, BEN = drawn.USERS[:2]
BERLIN, PARIS = drawn.SITES[:2]
PEERS: Final = {
    str(uuid.UUID(int=2)): End(("100.64.0.2/32", "fd12:3456:789a::2/128"), (ANNA,)),
    str(uuid.UUID(int=3)): End(("100.64.0.3/32", "fd12:3456:789a::3/128"), (BEN,)),
    str(uuid.UUID(int=5)): End(("100.64.0.5/32", "fd12:3456:789a::5/128", "10.1.0.0/24"), (BERLIN,)),
}


def rule(
    action: str, source: str, destination: str, protocol: str = "any", ports: tuple[int, int] | None = None
) -> Rule:
    """A rule with an id of its own."""
    return Rule(str(uuid.uuid4()), action, protocol, ports, source, destination)


def hub(*rules: Rule, allows: bool = True, peers: dict[str, End] = PEERS) -> Hub:
    """A hub with Anna's and Ben's devices and the office in Berlin."""
    return Hub(drawn.HUB, peers, rules, allows)


def lines(before: Hub, after: Hub) -> list[Line]:
    """All differences, which are few here."""
    found = differences(before, after, drawn.principals([before, after]))
    assert not found.truncated
    return found.lines


def test_the_same_hub_twice_makes_no_difference() -> None:
    rules = rule("drop", ANNA, BERLIN), rule("accept", BEN, "10.1.0.0/24", "tcp", (443, 443))
    assert lines(hub(*rules), hub(*(Rule(**{**vars(one), "id": str(uuid.uuid4())}) for one in rules))) == []


def test_a_rule_for_a_member_and_a_site_is_one_line() -> None:
    opened = lines(hub(allows=False), hub(rule("accept", ANNA, BERLIN, "tcp", (443, 443)), allows=False))
    assert opened == [Line(ANNA, BERLIN, "tcp", "443", before=False, after=True)]


def test_a_rule_for_a_network_of_a_site_names_the_network() -> None:
    closed = lines(hub(), hub(rule("drop", ANNA, "10.1.0.0/25")))
    assert closed == [Line(ANNA, "10.1.0.0/25", "any", "", before=True, after=False)]


def test_the_internet_is_any() -> None:
    closed = lines(hub(), hub(rule("reject", ANNA, "any", "udp", (443, 443))))
    assert Line(ANNA, "any", "udp", "443", before=True, after=False) in closed
    assert {line.destination for line in closed} == {"any", BEN, BERLIN}


def test_one_family_of_the_internet_is_not_called_all_of_it() -> None:
    """IPv4 stays open: `any` would say that it does not."""
    closed = lines(hub(), hub(rule("drop", ANNA, "::/0", "tcp")))
    assert Line(ANNA, "::/0", "tcp", "", before=True, after=False) in closed
    assert "any" not in {line.destination for line in closed}
    over_v4 = lines(hub(), hub(rule("drop", ANNA, "0.0.0.0/0")))
    assert Line(ANNA, "0.0.0.0/0", "any", "", before=True, after=False) in over_v4


def test_both_families_are_the_internet_though_a_rule_leaves_out_a_network() -> None:
    kept = rule("accept", ANNA, "198.51.100.7/32"), rule("accept", ANNA, BEN), rule("accept", ANNA, BERLIN)
    closed = lines(hub(*kept), hub(*kept, rule("drop", ANNA, "any")))
    assert closed == [Line(ANNA, "any", "any", "", before=True, after=False)]


def test_a_large_piece_of_the_internet_is_called_by_the_network_that_its_rule_names() -> None:
    closed = lines(hub(), hub(rule("drop", ANNA, "128.0.0.0/1")))
    assert closed == [Line(ANNA, "128.0.0.0/1", "any", "", before=True, after=False)]


def test_a_device_names_the_family_by_its_own_address() -> None:
    phone = PEERS | {str(uuid.UUID(int=4)): End(("100.64.0.4/32", "fd12:3456:789a::4/128"), (ANNA,))}
    closed = lines(hub(peers=phone), hub(rule("drop", "100.64.0.2/32", "any", "udp"), peers=phone))
    assert Line("100.64.0.2/32", "any", "udp", "", before=True, after=False) in closed


def test_what_is_neither_tcp_udp_nor_icmp_has_a_word() -> None:
    rules = [rule("accept", ANNA, BEN, protocol) for protocol in ("tcp", "udp", "icmp", "icmpv6")]
    closed = lines(hub(rule("accept", ANNA, BEN), allows=False), hub(*rules, allows=False))
    assert closed == [Line(ANNA, BEN, "other", "", before=True, after=False)]


def _counts(before: Hub, after: Hub) -> Counts:
    counts = differences(before, after, drawn.principals([before, after])).fates.counts
    assert counts is not None
    return counts


def test_a_second_device_that_comes_with_a_refusal_reached_nothing_before() -> None:
    """A member's only device reaches no peer; with the second one comes the policy that keeps it so."""
    first = dict(list(PEERS.items())[:1])
    both = first | {str(uuid.UUID(int=4)): End(("100.64.0.4/32", "fd12:3456:789a::4/128"), (ANNA,))}
    before, after = hub(peers=first), hub(allows=False, peers=both)
    assert {line.after for line in lines(before, after)} == {True}
    assert _counts(before, after) == Counts(total=2, cut_off=0, losing=0, gaining=1)


def test_a_device_in_place_of_another_one_loses_nothing_to_it() -> None:
    """The two are never there at once."""
    first = dict(list(PEERS.items())[:1])
    second = {str(uuid.UUID(int=4)): End(("100.64.0.4/32", "fd12:3456:789a::4/128"), (ANNA,))}
    before, after = hub(peers=first), hub(allows=False, peers=second)
    assert _counts(before, after) == Counts(total=2, cut_off=0, losing=1, gaining=1)
    assert {line.destination for line in lines(before, after)} == {"any"}


def test_the_devices_of_one_member_that_lose_each_other_are_cut_off() -> None:
    two = {
        str(uuid.UUID(int=number)): End((f"100.64.0.{number}/32", f"fd12:3456:789a::{number}/128"), (ANNA,))
        for number in (2, 4)
    }
    before, after = hub(peers=two), hub(allows=False, peers=two)
    assert lines(before, after) == [Line(ANNA, ANNA, "any", "", before=True, after=False)]
    assert _counts(before, after) == Counts(total=2, cut_off=2, losing=0, gaining=0)


def test_counts_are_of_devices_and_not_of_all_that_their_owner_has() -> None:
    phone = PEERS | {str(uuid.UUID(int=4)): End(("100.64.0.4/32", "fd12:3456:789a::4/128"), (ANNA,))}
    refusal = rule("drop", "100.64.0.2/32", BERLIN)
    assert _counts(hub(peers=phone), hub(refusal, peers=phone)) == Counts(total=4, cut_off=0, losing=1, gaining=0)


def test_a_network_behind_the_server_is_no_peer() -> None:
    opened = replace(hub(), opened=("172.31.5.0/24",))
    assert _counts(hub(), opened) == Counts(total=3, cut_off=0, losing=0, gaining=3)


def test_a_new_policy_is_one_line_for_each_pair() -> None:
    closed = lines(hub(), hub(allows=False))
    pairs = [(one, other) for one in (ANNA, BEN, BERLIN) for other in (ANNA, BEN, BERLIN) if one != other]
    assert closed == sorted(Line(one, other, "any", "", before=True, after=False) for one, other in pairs)


def test_a_moved_subnet_closes_the_old_one_and_opens_the_new_one() -> None:
    moved = PEERS | {str(uuid.UUID(int=5)): End(("100.64.0.5/32", "fd12:3456:789a::5/128", "10.2.0.0/24"), (BERLIN,))}
    found = lines(hub(), hub(peers=moved))
    assert Line(ANNA, "10.1.0.0/24", "any", "", before=True, after=False) in found
    assert Line(ANNA, "10.2.0.0/24", "any", "", before=False, after=True) in found
    assert Line("10.2.0.0/24", BEN, "any", "", before=False, after=True) in found


def test_a_new_site_is_named_as_a_whole() -> None:
    found = lines(hub(peers=dict(list(PEERS.items())[:2])), hub())
    assert Line(BEN, BERLIN, "any", "", before=False, after=True) in found
    assert Line(BERLIN, "any", "any", "", before=False, after=True) in found


def _wide(hubs: Iterable[Hub]) -> set[str]:
    """The ends that stand for what is left of the internet within them: where no site has all of it."""
    owned = {network for hub in hubs for end in hub.peers.values() for network in end.networks}
    return {end for end in drawn.WIDE if ("::/0" if ":" in end else "0.0.0.0/0") not in owned}


def _covers(end: str, address: str, owner: str | None, wide: set[str]) -> bool:
    is_of_internet = owner is None and not any(ipaddress.ip_address(address) in network for network in drawn.PRIVATE)
    if end == "any":
        return is_of_internet
    if "/" not in end:
        return end == owner
    return ipaddress.ip_address(address) in ipaddress.ip_network(end) and (is_of_internet or end not in wide)


def _says(line: Line, protocol: str, port: int | None) -> bool:
    if line.port and (port is None or line.protocol not in ("any", protocol)):
        return False
    first, _, last = (line.port or "1-65535").partition("-")
    return line.protocol in ("any", protocol) and (port is None or int(first) <= port <= int(last or first))


def _makes_sense(source: str, destination: str, protocol: str) -> bool:
    ends = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if any(end in network for end in ends for network in drawn.NEVER) or any(str(end) in drawn.OWN for end in ends):
        return False
    return ends[0].version == ends[1].version and protocol != {4: "icmpv6", 6: "icmp"}[ends[0].version]


@settings(max_examples=_EXAMPLES, deadline=None)
@given(drawn.hubs(), drawn.hubs(), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_the_lines_agree_with_the_evaluator(
    before: Hub, other: Hub, same_peers: bool, same_rules: bool, chance: random.Random
) -> None:
    after = Hub(
        drawn.HUB,
        before.peers if same_peers else other.peers,
        before.rules if same_rules else other.rules,
        other.allows,
    )
    found = differences(before, after, drawn.principals([before, after]), most=20_000)
    old, new = Reach(before), Reach(after)
    wide = _wide([before, after])

    def whose(address: str) -> str | None:
        # A line names an address by whom it belongs to afterwards, or did, where nobody has it any more.
        end = after.peers.get(new.owner(address) or "") or before.peers.get(old.owner(address) or "")
        return end.tags[0] if end is not None else None

    for _ in range(80):
        source, destination = chance.choice(drawn.ADDRESSES), chance.choice(drawn.ADDRESSES)
        protocol, port = chance.choice(drawn.FLOWS)
        if not _makes_sense(source, destination, protocol) or {old.owner(source), new.owner(source)} & (
            {old.owner(destination), new.owner(destination)} - {None}
        ):
            continue
        was, will = (reach.passes(source, destination, protocol, port) for reach in (old, new))
        lines = [
            line
            for line in found.lines
            if _says(line, protocol, port)
            and _covers(line.source, source, whose(source), wide)
            and _covers(line.destination, destination, whose(destination), wide)
        ]
        if was != will:
            assert found.truncated or lines, (source, destination, protocol, port)
            assert {(line.before, line.after) for line in lines} <= {(was, will)}
        else:
            rules = (*before.rules, *after.rules)
            mail = (protocol, port, whose(destination)) == ("tcp", 25, None)
            loose = {"any", *wide} if _is_left_out(destination, rules) else set()
            said = [line for line in lines if not mail and line.destination not in loose]
            assert not said, (source, destination, protocol, port, said)


@settings(max_examples=60, deadline=None)
@given(drawn.hubs(), drawn.hubs())
def test_the_lines_of_one_owner_are_those_that_begin_there(before: Hub, after: Hub) -> None:
    owners = drawn.principals([before, after])
    found = differences(before, after, owners, most=10_000)
    assert not found.truncated
    for owner in set(owners.values()):
        own = [line for line in lines_of(owner, before, after, owners, most=10_000) if line.source == owner]
        assert own == [line for line in found.lines if line.source == owner]


@given(drawn.hubs(), drawn.hubs())
def test_the_groups_say_what_the_lines_say(before: Hub, after: Hub) -> None:
    found = differences(before, after, drawn.principals([before, after]), most=20_000)
    ends = [group.ends for group in found.fates.groups]
    spelled = {
        (source, destination, *way, row.opens)
        for row in found.fates.rows
        for source in (end for number in row.sources for end in ends[number])
        for destination in (end for number in row.destinations for end in ends[number])
        for way in row.ways
    }
    listed = {(line.source, line.destination, line.protocol, line.port, line.after) for line in found.lines}
    if found.truncated or not found.fates.is_complete:
        return
    assert listed <= spelled
    # Nobody reaches oneself through the hub, so that groups may say it.
    assert all(one[0] == one[1] or "/" in one[0] or "/" in one[1] for one in spelled - listed)
    assert found.fates.counts is not None
    counts = found.fates.counts
    assert counts.total == len(before.peers.keys() | after.peers.keys())
    assert counts.cut_off + counts.losing <= counts.total
    assert (counts.losing + counts.cut_off > 0) == any(not line.after for line in found.lines)
    assert (counts.gaining > 0) == any(line.after for line in found.lines)


def _is_left_out(destination: str, rules: tuple[Rule, ...]) -> bool:
    """The internet is called so though a line leaves out networks of it that rules name."""
    named = {rule.destination for rule in rules if "/" in rule.destination} - {"0.0.0.0/0", "::/0"}
    return any(ipaddress.ip_address(destination) in ipaddress.ip_network(network) for network in named)


def test_a_thousand_rules_and_ten_thousand_peers_are_compared_or_said_to_be_too_many() -> None:
    peers = {}
    for number in range(10_000):
        own = (f"100.64.{16 + number // 250}.{number % 250}/32", f"fd12:3456:789a::{number + 2:x}/128")
        peers[str(uuid.UUID(int=100 + number))] = End(own, (f"user:{uuid.UUID(int=100 + number // 2)}",))
    rules = [
        rule(
            "accept",
            f"user:{uuid.UUID(int=100 + number)}",
            f"10.{number % 250}.0.0/16",
            "tcp",
            (number + 1, number + 9),
        )
        for number in range(1000)
    ]
    before = Hub(("100.64.0.1/16", "fd12:3456:789a::1/64"), peers, tuple(rules), allows=False)
    after = Hub(before.addresses, peers, (*rules[:500], rule("accept", ANNA, BERLIN), *rules[501:]), allows=False)
    whose = drawn.principals([before])
    same = differences(before, after, whose)
    assert (same.lines, same.truncated, same.fates.rows) == ([], False, [])
    opened = differences(before, Hub(before.addresses, peers, tuple(rules), allows=True), whose)
    assert opened.truncated
    assert opened.lines
    assert all(line.after for line in opened.lines)
