"""The current state of the tunnel interface, with its peers and their handshakes."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.system import command, inside
from vpn.agent.wireguard import uapi
from vpn.agent.wireguard.uapi import UapiPeer
from vpn.wire.report import PeerReport

# By public key: a peer's endpoint, and whether it had a session.
Endpoints = Mapping[str, tuple[str, bool]]

# A peer with an older handshake has no session (REJECT_AFTER_TIME is 180 s) and starts a new handshake by itself.
ACTIVE_WITHIN: Final = 240  # seconds
NO_KEY: Final = "A" * 43 + "="  # in WireGuard, all zeros mean no preshared key


@dataclass(frozen=True)
class RealPeer:
    """The current state of a peer."""

    preshared_key: str = field(repr=False)
    endpoint: str | None
    allowed_ips: frozenset[str]
    latest_handshake: int
    received_bytes: int
    sent_bytes: int
    keepalive: bool


@dataclass(frozen=True)
class Device:
    """The current state of the interface, with its peers by public key."""

    private_key: str = field(repr=False)
    port: int
    peers: dict[str, RealPeer] = field(repr=False)


def is_inside(names: Names) -> bool:
    """Return True if the hub's namespace has the interface."""
    try:
        inside.call(names.inside, lambda: socket.if_nametoindex(names.wireguard))
    except OSError:
        return False
    return True


def observe(names: Names) -> Device | None:
    """Return the state of the interface, or None if it does not exist or does not answer."""
    # Check that the interface is inside the hub: wireguard-go also answers for one that was never moved.
    if not is_inside(names):
        return None
    # wireguard-go is reached from any namespace.
    netns = command.ROOT if uapi.socket_path(names.wireguard).exists() else names.inside
    result = netns.try_run(["wg", "show", names.wireguard, "dump"])
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


def reports(names: Names) -> dict[str, PeerReport] | None:
    """Return by public key the peers that ever had a handshake or traffic; None without a working interface.

    wireguard-go is asked without a program. Thousands of peers that never connected cost a millisecond.
    """
    if not is_inside(names):
        return None
    there: Mapping[str, UapiPeer | RealPeer] | None = uapi.peers(names.wireguard)
    if there is None:
        device = observe(names)
        there = device.peers if device else None
    if there is None:
        return None
    return {
        key: PeerReport(peer.endpoint, peer.latest_handshake, peer.received_bytes, peer.sent_bytes)
        for key, peer in there.items()
        if peer.latest_handshake or peer.received_bytes or peer.sent_bytes
    }


def endpoints(device: Device | None) -> Endpoints:
    """Return the endpoints of peers; empty if there is no interface."""
    recent = time.time() - ACTIVE_WITHIN
    peers = device.peers.items() if device else ()
    return {key: (peer.endpoint, peer.latest_handshake > recent) for key, peer in peers if peer.endpoint}
