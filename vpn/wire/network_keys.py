"""Networks as sortable text, so that a database index finds the networks around one and within one.

A key is the IP version, the first address as 32 hexadecimal digits, and the prefix length as three digits. Two networks
nest or are disjoint. So a network that overlaps a given one either has one of at most 129 keys (the wider networks), or
its key lies in one range (the networks within it).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network

from vpn.wire.intervals import BITS, Network, span_of_network, without
from vpn.wire.reserved import BROAD_PREFIX

KEY_LENGTH = 36


def key_of(network: Network) -> str:
    """The key of a network."""
    return _key(network.version, int(network.network_address), network.prefixlen)


def network_of(key: str) -> Network:
    """The network that a key stands for, the inverse of `key_of`."""
    kind = IPv4Network if key[0] == "4" else IPv6Network
    return kind((int(key[1:33], 16), int(key[33:])))


def keys_around(network: Network, *, with_broad: bool = False) -> Iterator[str]:
    """The keys of all wider networks that contain this one; broad networks only with `with_broad`."""
    version, first = network.version, int(network.network_address)
    longest = BITS[version]
    for length in range(0 if with_broad else BROAD_PREFIX[version], network.prefixlen):
        host_bits = longest - length
        # As `_key` writes it, but without a call: 500 subnets have 19,000 of these.
        yield f"{version}{first >> host_bits << host_bits:032x}{length:03d}"


def keys_within(network: Network) -> tuple[str, str]:
    """The first and the last key of networks within this one, including its own."""
    version, first = network.version, int(network.network_address)
    last = first | ((1 << (BITS[version] - network.prefixlen)) - 1)
    return _key(version, first, network.prefixlen), _key(version, last, BITS[version])


def is_covered(network: Network, keys: Iterable[str]) -> bool:
    """Return True if the networks with these keys together cover `network`."""
    return not without(span_of_network(network), (span_of_network(network_of(key)) for key in keys))


class Sorted:
    """Sorted keys, to find a network around or within another one."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = sorted(keys)
        self._known = set(self._keys)

    def around(self, network: Network) -> str | None:
        """The key of the narrowest wider network that contains this one, or None."""
        return next((key for key in reversed(list(keys_around(network))) if key in self._known), None)

    def within(self, network: Network) -> str | None:
        """The key of the first narrower network within this one, or None."""
        first, last = keys_within(network)
        place = bisect_right(self._keys, first)
        return self._keys[place] if place < bisect_left(self._keys, f"{last}0") else None


def _key(version: int, first: int, length: int) -> str:
    return f"{version}{first:032x}{length:03d}"
