"""Configuration for wg(8), as text from a checked spec."""

from __future__ import annotations

from vpn.agent.wireguard.device import NO_KEY, Endpoints
from vpn.wire.peers import WireGuardPeer, by_wireguard
from vpn.wire.spec import HubSpec


def configuration(spec: HubSpec, endpoints: Endpoints) -> str:
    """Return the whole configuration, with the known endpoints of peers."""
    lines = [f"[Interface]\nPrivateKey = {spec.private_key}\nListenPort = {spec.port}\n"]
    for peer in by_wireguard(spec.peers.values()):
        endpoint, was_active = endpoints.get(peer.public_key, ("", False))
        lines.append(peer_section(peer, endpoint, was_active))
    return "".join(lines)


def peer_section(peer: WireGuardPeer, endpoint: str = "", was_active: bool = False) -> str:
    """Return the section of one peer. Keepalives to a peer that `was_active` start handshakes until it answers."""
    section = (
        f"[Peer]\nPublicKey = {peer.public_key}\nPresharedKey = {peer.preshared_key or NO_KEY}\n"
        f"AllowedIPs = {', '.join(peer.carried)}\nPersistentKeepalive = {1 if was_active else 'off'}\n"
    )
    return section + (f"Endpoint = {endpoint}\n" if endpoint else "")
