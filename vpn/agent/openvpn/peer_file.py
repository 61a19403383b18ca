"""The file of one peer in client-config-dir: it admits the peer, with its addresses and networks."""

from __future__ import annotations

from vpn.agent.openvpn.keepalive import DEVICE, ROUTER, Keepalive
from vpn.agent.openvpn.lines import hub_addresses, route_line
from vpn.wire.peers import OpenVPNPeer
from vpn.wire.spec import HubSpec


def client(spec: HubSpec, peer: OpenVPNPeer) -> str:
    """Return a peer's file, for client-config-dir and for the scripts.

    A router with static routes (RouterOS 6) gets IPv4 only, because it may misinterpret other pushed options.
    """
    hub_v4, hub_v6 = hub_addresses(spec.addresses)
    lines = [f"# {' '.join(_kinds(peer))}", *(f"# {network}" for network in peer.networks)]
    for address in peer.addresses:
        plain = address.partition("/")[0]
        if ":" not in plain:
            lines.append(f"ifconfig-push {plain} {hub_v4.netmask}")
        elif hub_v6 is not None and not peer.static_routes:
            lines.append(f"ifconfig-ipv6-push {plain}/{hub_v6.network.prefixlen} {hub_v6.ip}")
    lines += [route_line("iroute", route) for route in peer.routes]
    return "\n".join([*lines, *_keepalive_of(peer).lines()]) + "\n"


def _kinds(peer: OpenVPNPeer) -> list[str]:
    """Return which of the files `pushed_...` a peer is pushed; none if its own configuration contains the routes.

    A router is not pushed DNS options: its users have their own resolver.
    """
    if peer.static_routes:
        return []
    told = ["all" if peer.route_all else "split", *([] if _is_router(peer) else ["dns"])]
    # RouterOS does not support a pushed metric.
    return told if peer.route_all or peer.compat else [*told, "metric"]


def _is_router(peer: OpenVPNPeer) -> bool:
    """Return True if a peer has networks behind it, or uses the `compat` listener."""
    return bool(peer.routes) or peer.compat


def _keepalive_of(peer: OpenVPNPeer) -> Keepalive:
    return ROUTER if _is_router(peer) else DEVICE
