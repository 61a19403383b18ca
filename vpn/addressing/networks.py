"""How two networks relate, and a set of networks in as few as possible."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

from vpn.wire import intervals
from vpn.wire.intervals import span_of_network
from vpn.wire.reserved import BROAD_PREFIX

Network: TypeAlias = intervals.Network


def is_broad(network: Network) -> bool:
    """True for a network wider than /8 (IPv6: /32), so for the default route too. An admin has to confirm it."""
    return network.prefixlen < BROAD_PREFIX[network.version]


def network_of(address: str) -> Network:
    """A single address, in text, as a network of its own."""
    parsed = ip_address(address)
    return IPv4Network(parsed) if isinstance(parsed, IPv4Address) else IPv6Network(parsed)


def is_default_route(network: Network) -> bool:
    """0.0.0.0/0 or ::/0."""
    return network.prefixlen == 0


def overlaps(one: Network, other: Network) -> bool:
    """Whether two networks share an address; never true across address families."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def contains(outer: Network, inner: Network) -> bool:
    """Whether every address of `inner` is in `outer`; never true across address families."""
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def without(network: Network, endpoint: Network) -> list[Network]:
    """`network` without `endpoint`, as the fewest networks, in the order of addresses."""
    if not contains(network, endpoint):
        return [network]
    return intervals.summarized(intervals.without(span_of_network(network), [span_of_network(endpoint)]))


def merged(networks: Iterable[Network]) -> list[Network]:
    """The same addresses as the fewest networks: neighbours are joined, IPv4 comes first."""
    return intervals.summarized(map(span_of_network, networks))
