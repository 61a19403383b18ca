"""Networks of peers that lie within networks of other peers: the longest prefix wins."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from typing import Final

from vpn.wire import intervals
from vpn.wire.intervals import Span, is_single, nesting, span_of, span_of_network
from vpn.wire.peers import Peer, by_openvpn

_HUB: Final = -1


def holds_others(addresses: Iterable[str], peers: Iterable[Peer]) -> bool:
    """Return True if a route of an OpenVPN peer contains the pool or a route of another peer.

    `addresses` are the hub's, with the prefixes of the pools. WireGuard always checks sources by AllowedIPs. An OpenVPN
    listener forgets a peer's address when it disconnects, and then accepts it as a source behind the wider route.
    """
    routed = [(bool(by_openvpn([peer])), peer.routes) for peer in peers if peer.routes]
    if not any(is_openvpn for is_openvpn, _ in routed):
        return False
    pools = [span_of_network(ipaddress.ip_interface(address).network) for address in addresses]
    networks = [(pool, (_HUB, False)) for pool in pools]
    networks += [
        (span_of(route), (number, is_openvpn)) for number, (is_openvpn, routes) in enumerate(routed) for route in routes
    ]
    return any(held and holder != owner for _, (owner, _), around in nesting(networks) for _, (holder, held) in around)


def without(networks: Collection[str], peers: Iterable[Peer]) -> set[str]:
    """Return `networks` without the networks of `peers` that lie within them."""
    if all(map(is_single, networks)):
        return set(networks)
    families = {":" in network for network in networks if not is_single(network)}
    theirs = (network for peer in peers for network in peer.networks if (":" in network) in families)
    kept = [(network, span_of(network)) for network in theirs]
    return {piece for network in networks for piece in _pieces(network, kept)}


def _pieces(network: str, kept: Iterable[tuple[str, Span]]) -> list[str]:
    if is_single(network):
        return [network]
    span = span_of(network)
    # An equal network has moved to another peer, so the former peer has lost it entirely.
    inner = [each for other, each in kept if other != network and span.holds(each)]
    return intervals.networks_of(intervals.without(span, inner)) if inner else [network]
