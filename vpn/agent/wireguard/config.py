"""What wg(8) reads: pure text from a checked spec."""

from __future__ import annotations

from vpn.agent.wireguard.device import NO_KEY, Endpoints
from vpn.wire.peers import WireGuardPeer, by_wireguard
from vpn.wire.spec import HubSpec


def configuration(spec: HubSpec, endpoints: Endpoints) -> str:
    """Return the whole configuration, with the endpoints of peers that the hub is to call back."""
    lines = [f"[Interface]\nPrivateKey = {spec.private_key}\nListenPort = {spec.port}\n"]
    for peer in by_wireguard(spec.peers.values()):
        endpoint, talking = endpoints.get(peer.public_key, ("", False))
        lines.append(peer_section(peer, endpoint, talking))
    return "".join(lines)


def peer_section(peer: WireGuardPeer, endpoint: str = "", talking: bool = False) -> str:
    """Return the section of one peer; one that was `talking` is called until it answers."""
    section = (
        f"[Peer]\nPublicKey = {peer.public_key}\nPresharedKey = {peer.preshared_key or NO_KEY}\n"
        f"AllowedIPs = {', '.join(peer.allowed_ips)}\nPersistentKeepalive = {1 if talking else 'off'}\n"
    )
    return section + (f"Endpoint = {endpoint}\n" if endpoint else "")
