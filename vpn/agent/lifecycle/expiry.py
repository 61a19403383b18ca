"""Expired peers: the agent removes them from the hub by its own clock, even if the portal is unreachable.

An expired peer stays in the saved spec until the portal removes it. The file `due` contains the next expiry (Unix
time). All peers that expired before it have been removed from the hub.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from vpn.agent.memory.saved import Change
from vpn.agent.memory.state import State
from vpn.wire.peers import Peer

# An expired peer may still exist for this long, until `watch` has removed it.
_GRACE: Final = 10.0  # seconds


def not_expired(peers: Mapping[str, Peer], now: float) -> dict[str, Peer]:
    """Return the peers that are not expired at `now` (Unix time)."""
    return {peer_id: peer for peer_id, peer in peers.items() if not _is_expired(peer, now)}


def without_expired(state: State, hub: str, change: Change, now: float) -> Change:
    """Return a change without expired peers: those removed before from its old side, all expired from its new side."""
    due = state.due(hub)
    return Change(
        {
            peer_id: (
                None if old is None or _is_removed(old, due, now) else old,
                None if new is None or _is_expired(new, now) else new,
            )
            for peer_id, (old, new) in change.peers.items()
        }
    )


def not_removed(state: State, hub: str, peers: Mapping[str, Peer]) -> dict[str, Peer]:
    """Return the peers that may still exist on the hub, for read-only comparisons."""
    now, due = time.time(), state.due(hub)
    return {
        peer_id: peer
        for peer_id, peer in peers.items()
        if not _is_removed(peer, due, now) and not _is_expired(peer, now - _GRACE)
    }


def is_due(state: State, hub: str) -> bool:
    """Return True if a peer has expired. Reads one small file, because it is called many times a minute."""
    due = state.due(hub)
    return due is not None and due <= time.time()


def newly_expired(state: State, hub: str, peers: Mapping[str, Peer], now: float) -> dict[str, Peer]:
    """Return the peers that have expired and are not removed yet."""
    due = state.due(hub)
    return {
        peer_id: peer for peer_id, peer in peers.items() if _is_expired(peer, now) and not _is_removed(peer, due, now)
    }


def schedule(state: State, hub: str, peers: Mapping[str, Peer], now: float) -> None:
    """Set `due` no later than the next expiry of these peers, before they are added."""
    moments = [moment for moment in (_next_expiry(peers, now), state.due(hub)) if moment is not None]
    state.save_due(hub, min(moments, default=None))


def reschedule(state: State, hub: str, peers: Mapping[str, Peer], now: float) -> None:
    """Set `due` to the next expiry of these peers. All that expired until `now` must have been removed."""
    state.save_due(hub, _next_expiry(peers, now))


def _next_expiry(peers: Mapping[str, Peer], now: float) -> int | None:
    moments = (peer.expires_at for peer in peers.values() if peer.expires_at is not None and peer.expires_at > now)
    return min(moments, default=None)


def _is_expired(peer: Peer, now: float) -> bool:
    return peer.expires_at is not None and peer.expires_at <= now


def _is_removed(peer: Peer, due: int | None, now: float) -> bool:
    return _is_expired(peer, now) and (due is None or peer.expires_at is None or peer.expires_at < due)
