"""Networks of peers that lie within those of others: the more specific route wins."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from vpn.agent.firewall.sets import is_single, span
from vpn.wire.peers import by_openvpn
from vpn.wire.spec import Peer

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HUB: Final = -1


def holds_others(addresses: Iterable[str], peers: Iterable[Peer]) -> bool:
    """Return whether a route of a peer over OpenVPN contains the pool or a route of another peer.

    `addresses` are the hub's, with the prefixes of the pools. WireGuard knows who has which address. A listener of
    OpenVPN forgets it when a peer disconnects, and then takes the peer's address for one behind the wider route.
    """
    routed = [(bool(by_openvpn([peer])), peer.routes) for peer in peers if peer.routes]
    if not any(is_openvpn for is_openvpn, _ in routed):
        return False
    networks = [(str(ipaddress.ip_interface(address).network), _HUB, False) for address in addresses]
    networks += [(route, number, is_openvpn) for number, (is_openvpn, routes) in enumerate(routed) for route in routes]
    around: list[tuple[bool, int, int, bool]] = []
    spans = ((":" in network, *span(network), owner, is_openvpn) for network, owner, is_openvpn in networks)
    for is_v6, _, last, owner, is_openvpn in sorted(spans, key=lambda each: (each[0], each[1], -each[2])):
        while around and (around[-1][0] != is_v6 or around[-1][1] < last):
            around.pop()
        if any(held and holder != owner for _, _, holder, held in around):
            return True
        around.append((is_v6, last, owner, is_openvpn))
    return False


def without(networks: Collection[str], peers: Iterable[Peer]) -> set[str]:
    """Return `networks` without the networks of `peers` that lie within them."""
    if all(map(is_single, networks)):
        return set(networks)
    kept = [network for peer in peers for network in peer.networks]
    return {piece for network in networks for piece in _pieces(network, kept)}


def _pieces(network: str, kept: Iterable[str]) -> Iterator[str]:
    if is_single(network):
        yield network
        return
    is_v6 = ":" in network
    first, last = span(network)
    # An equal network is one that moved to another peer: what its former peer had is given up all the same.
    others = (span(other) for other in kept if (":" in other) == is_v6 and other != network)
    inner = sorted((start, end) for start, end in others if first <= start and end <= last)
    if not inner:
        yield network
        return
    position = first
    for start, end in itertools.chain(inner, [(last + 1, last)]):
        if position < start:
            yield from _between(position, start - 1, is_v6=is_v6)
        position = max(position, end + 1)


def _between(first: int, last: int, *, is_v6: bool) -> Iterator[str]:
    kind = ipaddress.IPv6Address if is_v6 else ipaddress.IPv4Address
    found: Iterable[_Network] = ipaddress.summarize_address_range(kind(first), kind(last))
    return map(str, found)
