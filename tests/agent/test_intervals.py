"""Ranges of addresses, compared with their definition address by address, in a small part of each family."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vpn.wire import intervals
from vpn.wire.intervals import Span, span_of, span_of_network
from vpn.wire.network_keys import is_covered, key_of
from vpn.wire.server_side import without_addresses

# 64 addresses of each family.
STARTS = {4: int(ipaddress.IPv4Address("10.1.2.0")), 6: int(ipaddress.IPv6Address("fd00::40"))}
ROOM = 64
Numbers = set[tuple[int, int]]


def network(version: int, number: int, length: int) -> intervals.Network:
    kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    prefix = intervals.BITS[version] - 6 + length
    return kind((STARTS[version] + number, prefix), strict=False)


NETWORKS = st.builds(network, st.sampled_from((4, 6)), st.integers(0, ROOM - 1), st.integers(0, 6))
SPANS = st.builds(
    lambda version, ends: Span(version, *(STARTS[version] + end for end in sorted(ends))),
    st.sampled_from((4, 6)),
    st.tuples(st.integers(0, ROOM - 1), st.integers(0, ROOM - 1)),
)


def numbers(*spans: Span) -> Numbers:
    return {(span.version, number) for span in spans for number in range(span.first, span.last + 1)}


@given(NETWORKS)
def test_a_network_is_its_span_in_text_too(one: intervals.Network) -> None:
    assert span_of(str(one)) == span_of_network(one)
    assert intervals.networks_of([span_of_network(one)]) == [str(one)]
    address = one.network_address
    assert intervals.address_of(str(address)) == (one.version, int(address))
    assert intervals.text_of(one.version, int(address)) == str(address)


@given(st.lists(SPANS))
def test_joined_spans_have_the_same_addresses_and_do_not_touch(spans: list[Span]) -> None:
    found = intervals.joined(spans)
    assert numbers(*found) == numbers(*spans)
    assert all(one.version != other.version or one.last + 1 < other.first for one, other in pairwise(found))


@given(SPANS, st.lists(SPANS))
def test_what_is_left_without_holes(span: Span, holes: list[Span]) -> None:
    found = intervals.without(span, holes)
    assert numbers(*found) == numbers(span) - numbers(*holes)
    assert found == intervals.joined(found)


@given(st.lists(SPANS))
def test_the_fewest_networks_are_those_of_the_standard_library(spans: list[Span]) -> None:
    found = intervals.summarized(spans)
    assert numbers(*map(span_of_network, found)) == numbers(*spans)
    v4 = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv4Network))
    v6 = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv6Network))
    assert found == [*v4, *v6]


@given(st.lists(NETWORKS, unique=True))
def test_the_outermost_networks_hold_all_others(networks: list[intervals.Network]) -> None:
    spans = [span_of_network(one) for one in networks]
    assert set(intervals.outermost(spans)) == {
        one for one in spans if not any(other.holds(one) for other in spans if other != one)
    }


@given(st.lists(NETWORKS, unique=True))
def test_each_network_comes_with_those_around_it(networks: list[intervals.Network]) -> None:
    spans = {span_of_network(one): one for one in networks}
    seen = []
    for span, _, around in intervals.nesting(spans.items()):
        seen.append(span)
        wider = [other for other in spans if other != span and other.holds(span)]
        assert [each for each, _ in around] == sorted(wider, key=lambda each: each.first - each.last)
    assert set(seen) == spans.keys()


@given(st.dictionaries(NETWORKS, st.sampled_from("abc")))
def test_an_address_is_its_owners_whose_network_is_the_narrowest(owners: dict[intervals.Network, str]) -> None:
    found = intervals.most_specific((span_of_network(one), owner) for one, owner in owners.items())
    by_address = {address: owner for owner, spans in found.items() for address in numbers(*spans)}
    expected: dict[tuple[int, int], str] = {}
    for one in sorted(owners, key=lambda each: each.prefixlen):
        expected |= dict.fromkeys(numbers(span_of_network(one)), owners[one])
    assert by_address == expected
    assert sum(len(numbers(*spans)) for spans in found.values()) == len(expected), "no address has two owners"


@given(st.dictionaries(NETWORKS, st.sampled_from("abc")))
def test_a_piece_has_the_values_of_all_networks_around_it(values: dict[intervals.Network, str]) -> None:
    valued = {span_of_network(one): value for one, value in values.items()}
    for piece, narrowest, value in intervals.pieces(valued.items(), lambda inner, outer: outer + inner):
        around = sorted((one for one in valued if one.holds(piece)), key=lambda one: one.first - one.last)
        assert narrowest == around[-1]
        assert value == "".join(valued[one] for one in around)


@given(NETWORKS, st.lists(NETWORKS))
def test_networks_cover_one_together(whole: intervals.Network, parts: list[intervals.Network]) -> None:
    within = [one for one in parts if span_of_network(whole).holds(span_of_network(one))]
    covered = numbers(*map(span_of_network, within)) >= numbers(span_of_network(whole))
    assert is_covered(whole, map(key_of, within)) == covered


@given(NETWORKS, st.lists(NETWORKS.map(lambda one: str(one.network_address))))
def test_a_network_without_single_addresses(whole: intervals.Network, addresses: list[str]) -> None:
    left = without_addresses(str(whole), addresses)
    assert numbers(*map(span_of, left)) == numbers(span_of_network(whole)) - numbers(*map(span_of, addresses))
