"""Handshakes that the hub starts: WireGuard clients wait for 15 seconds before they start one themselves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.wireguard import wg
from vpn.agent.wireguard.device import ACTIVE_WITHIN, observe

_PEERS_PER_COMMAND: Final = 200


def connected(names: Names) -> dict[str, str]:
    """Return by public key the endpoints of peers with a session, those first that were heard last."""
    device = observe(names)
    recent = time.time() - ACTIVE_WITHIN
    peers = device.peers.items() if device is not None else ()
    active = [(peer.latest_handshake, key, peer.endpoint) for key, peer in peers if peer.latest_handshake > recent]
    return {key: endpoint for _, key, endpoint in sorted(active, reverse=True) if endpoint}


def call(names: Names, endpoints: Mapping[str, str]) -> int:
    """Start handshakes with known peers at these endpoints, and return their number.

    Keepalives repeat them until a peer answers; `watch` ends them soon, as after a restore.
    """
    device = observe(names)
    known = iter([(key, endpoint) for key, endpoint in endpoints.items() if device and key in device.peers])
    count = 0
    while chunk := list(islice(known, _PEERS_PER_COMMAND)):
        words = [
            word for key, endpoint in chunk for word in ("peer", key, "endpoint", endpoint, "persistent-keepalive", "1")
        ]
        wg.run(names, ["wg", "set", names.wireguard, *words])
        count += len(chunk)
    return count
