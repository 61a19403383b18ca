"""The tunnel interface as it is: its peers, and what was last heard from them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.memory.names import Names
from vpn.wire.report import PeerReport

# By public key: where a peer is, and whether it was talking.
Endpoints = Mapping[str, tuple[str, bool]]

# A session older than this is over (REJECT_AFTER_TIME is 180 s), so that its peer shakes hands anew by itself.
TALKING_WITHIN: Final = 240  # seconds
NO_KEY: Final = "A" * 43 + "="  # WireGuard's way to say "no preshared key"


@dataclass(frozen=True)
class RealPeer:
    """A peer as the interface has it."""

    preshared_key: str = field(repr=False)
    endpoint: str | None
    allowed_ips: frozenset[str]
    latest_handshake: int
    received_bytes: int
    sent_bytes: int
    keepalive: bool


@dataclass(frozen=True)
class Device:
    """The interface as it is, with its peers by public key."""

    private_key: str = field(repr=False)
    port: int
    peers: dict[str, RealPeer] = field(repr=False)


def observe(names: Names) -> Device | None:
    """Return the interface as it is, None when it is not there or does not answer."""
    # The interface must be inside: a process whose interface was never moved answers, too.
    if names.inside.try_run(["ip", "-o", "link", "show", "dev", names.wireguard]).code != 0:
        return None
    result = names.inside.try_run(["wg", "show", names.wireguard, "dump"])
    if result.code != 0:
        return None
    lines = result.out.splitlines()
    header = lines[0].split("\t") if lines else []
    if len(header) != 4:
        return None
    peers = {}
    for line in lines[1:]:
        key, preshared_key, endpoint, allowed_ips, handshake, received, sent, keepalive = line.split("\t")
        peers[key] = RealPeer(
            preshared_key=NO_KEY if preshared_key == "(none)" else preshared_key,
            endpoint=None if endpoint == "(none)" else endpoint,
            allowed_ips=frozenset() if allowed_ips == "(none)" else frozenset(allowed_ips.split(",")),
            latest_handshake=int(handshake),
            received_bytes=int(received),
            sent_bytes=int(sent),
            keepalive=keepalive not in ("off", "0"),
        )
    return Device(header[0], int(header[2]), peers)


def reports(device: Device) -> dict[str, PeerReport]:
    """Return by public key those peers that were ever heard from."""
    return {
        key: PeerReport(peer.endpoint, peer.latest_handshake, peer.received_bytes, peer.sent_bytes)
        for key, peer in device.peers.items()
        if peer.latest_handshake or peer.received_bytes or peer.sent_bytes
    }


def endpoints(device: Device | None) -> Endpoints:
    """Return where the interface has its peers; nothing of one that is not there."""
    recent = time.time() - TALKING_WITHIN
    peers = device.peers.items() if device else ()
    return {key: (peer.endpoint, peer.latest_handshake > recent) for key, peer in peers if peer.endpoint}
