"""The address sets of tags, and how a small change of peers changes them."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from tests.agent import made
from vpn.agent.firewall import delta as firewall_delta
from vpn.agent.firewall import sets as firewall_sets
from vpn.wire.peers import Peer, WireGuardPeer
from vpn.wire.spec import HubSpec, parse_spec

A, B = (f"site:{made.peer_id(number)}" for number in (1, 2))
STAFF = f"group:{made.peer_id(3)}"
TAGS = (A, B, STAFF)

NETWORKS = st.builds(
    lambda address, length: str(ipaddress.ip_network((0x0A000000 | address, length), strict=False)),
    st.integers(0, 255),
    st.integers(24, 32),
)


def peer(*networks: str, tags: tuple[str, ...] = ()) -> Peer:
    return WireGuardPeer("", None, networks, (), tags)


def owner_of(address: int, peers: Mapping[str, Peer]) -> Peer | None:
    """Return the owner of an address, by the definition (longest prefix match)."""
    around = [
        (ipaddress.ip_network(network).prefixlen, peer)
        for peer in peers.values()
        for network in peer.networks
        if ipaddress.ip_address(address) in ipaddress.ip_network(network)
    ]
    return max(around, key=lambda each: each[0])[1] if around else None


def holds(elements: frozenset[str], address: int) -> bool:
    for element in elements:
        first, _, last = element.partition("-")
        if last:
            if int(ipaddress.ip_address(first)) <= address <= int(ipaddress.ip_address(last)):
                return True
        elif ipaddress.ip_address(address) in ipaddress.ip_network(first):
            return True
    return False


@given(st.dictionaries(NETWORKS, st.tuples(st.integers(0, 3), st.sampled_from((*TAGS, ""))), max_size=8))
def test_an_address_is_its_owners_whose_network_is_the_narrowest(drawn: dict[str, tuple[int, str]]) -> None:
    peers: dict[str, Peer] = {}
    for network, (number, tag) in drawn.items():
        known = peers.get(str(number), peer(tags=(tag,) if tag else ()))
        peers[str(number)] = peer(*known.networks, network, tags=known.tags)
    sets = firewall_sets.of_tags(TAGS, peers)
    for address in range(0x0A000000, 0x0A000100):
        owner = owner_of(address, peers)
        for tag in (A, B):
            elements = sets[firewall_sets.set_name(tag, 4)].elements
            assert holds(elements, address) == (owner is not None and tag in owner.tags)


def test_ranges_are_written_as_they_are_listed() -> None:
    peers = {"a": peer("0.0.0.0/0", "10.0.0.0/25", "10.0.0.128/25", tags=(A,)), "b": peer("10.9.0.0/31")}
    assert firewall_sets.of_tags([A], peers)[firewall_sets.set_name(A, 4)].elements == {
        "0.0.0.0-10.8.255.255",
        "10.9.0.2-255.255.255.255",
    }
    whole = firewall_sets.of_tags([A], {"a": peers["a"]})
    assert whole[firewall_sets.set_name(A, 4)].elements == {"0.0.0.0/0"}
    assert whole[firewall_sets.set_name(A, 6)].elements == frozenset()


def test_a_groups_addresses_are_single_ones() -> None:
    peers = {"a": peer("100.64.0.2/32", "fd00::2/128", tags=(STAFF,)), "b": peer("100.64.0.3/32", tags=(STAFF,))}
    v4, v6 = (firewall_sets.of_tags([STAFF], peers)[firewall_sets.set_name(STAFF, family)] for family in (4, 6))
    assert v4.elements == {"100.64.0.2", "100.64.0.3"}
    assert not v4.ranges
    assert v6.elements == {"fd00::2"}


def with_rules(peers: Mapping[str, Peer]) -> HubSpec:
    rules = [
        {
            "id": made.peer_id(100 + number),
            "action": "accept",
            "protocol": "any",
            "ports": None,
            "source": tag,
            "destination": "any",
        }
        for number, tag in enumerate(TAGS)
    ]
    return dataclasses.replace(parse_spec(made.spec(1, rules=rules)), peers=dict(peers))


Drawn = dict[str, tuple[int, list[str], str]]
PEERS = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        lambda number, networks, tag: (number, networks, tag),
        st.integers(2, 250),
        st.lists(NETWORKS, unique=True, max_size=2),
        st.sampled_from((*TAGS, "")),
    ),
)


def built(drawn: Drawn) -> dict[str, Peer]:
    """Return peers with distinct networks; only sites have wide ones."""
    taken: set[str] = set()
    peers = {}
    for peer_id, (number, networks, tag) in drawn.items():
        wanted = [f"100.64.0.{number}/32", *(networks if tag in (A, B) else ())]
        kept = [network for network in wanted if network not in taken]
        taken |= set(kept)
        peers[peer_id] = peer(*kept, tags=(tag,) if tag else ())
    return peers


@given(PEERS, PEERS)
def test_a_delta_leads_where_the_whole_does(first: Drawn, then: Drawn) -> None:
    before, after = built(first), built(then)
    spec = with_rules(after)
    concerned = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    delta = firewall_delta.of(
        spec,
        {key: before[key] for key in concerned & before.keys()},
        {key: after[key] for key in concerned & after.keys()},
    )
    assert delta is not None
    elements = {name: set(each.elements) for name, each in firewall_sets.of_tags(TAGS, before).items()}
    for name, removed in delta.removed.items():
        assert removed <= elements[name]
        elements[name] -= removed
    for name, added in delta.added.items():
        elements[name] |= added
    assert elements == {name: set(each.elements) for name, each in firewall_sets.of_tags(TAGS, after).items()}


def test_a_change_that_no_rule_is_about_changes_nothing() -> None:
    peers = {"a": peer("100.64.0.2/32", tags=(STAFF,))}
    spec = with_rules({**peers, "b": peer("100.64.0.3/32")})
    delta = firewall_delta.of(spec, {}, {"b": spec.peers["b"]})
    assert delta is not None
    assert delta.is_empty
