"""The file of one peer: that it may come in, with which addresses and networks."""

from __future__ import annotations

from vpn.agent.openvpn.lines import hub_addresses, route_line
from vpn.agent.openvpn.pace import OFTEN, SELDOM, Pace
from vpn.wire.peers import OpenVPNPeer
from vpn.wire.spec import HubSpec


def client(spec: HubSpec, peer: OpenVPNPeer) -> str:
    """Return a peer's file for client-config-dir and for the scripts.

    A router with static routes (RouterOS 6) carries IPv4 alone: the less it is pushed, the less it can misread.
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
    return "\n".join([*lines, *_pace_of(peer).lines()]) + "\n"


def _kinds(peer: OpenVPNPeer) -> list[str]:
    """Return which of the files `pushed_...` a peer is told: none where its routes stand in its own configuration.

    Those that a router serves have a resolver.
    """
    if peer.static_routes:
        return []
    told = ["all" if peer.route_all else "split", *([] if _is_router(peer) else ["dns"])]
    # RouterOS knows no metric.
    return told if peer.route_all or peer.compat else [*told, "metric"]


def _is_router(peer: OpenVPNPeer) -> bool:
    """Return whether a peer has networks behind it, or cannot do what is up to date."""
    return bool(peer.routes) or peer.compat


def _pace_of(peer: OpenVPNPeer) -> Pace:
    return OFTEN if _is_router(peer) else SELDOM
