"""Peers whose time is over: the agent ends them by its own clock, also while the portal is away.

Such a peer stays in the spec that is saved, for the portal to take out, but is not there. In `due` stands the next
moment (Unix time) at which a time is over: all that were over before it have been ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from vpn.agent.memory.saved import Change
from vpn.agent.memory.state import State
from vpn.wire.peers import Peer

# For so long a peer whose time is over may still be there, until the watch has ended it.
_GRACE: Final = 10.0  # seconds


def lasting(peers: Mapping[str, Peer], now: float) -> dict[str, Peer]:
    """Return the peers whose time is not over at `now` (Unix time)."""
    return {peer_id: peer for peer_id, peer in peers.items() if not _is_over(peer, now)}


def lasting_of(state: State, hub: str, change: Change, now: float) -> Change:
    """Return a change without the peers whose time is over: those that were ended before, and those that are now."""
    due = state.due(hub)
    return Change(
        {
            peer_id: (
                None if old is None or _is_ended(old, due, now) else old,
                None if new is None or _is_over(new, now) else new,
            )
            for peer_id, (old, new) in change.peers.items()
        }
    )


def there_now(state: State, hub: str, peers: Mapping[str, Peer]) -> dict[str, Peer]:
    """Return the peers that are not ended yet, for those who only look."""
    now, due = time.time(), state.due(hub)
    return {
        peer_id: peer
        for peer_id, peer in peers.items()
        if not _is_ended(peer, due, now) and not _is_over(peer, now - _GRACE)
    }


def is_due(state: State, hub: str) -> bool:
    """Return whether a peer's time is over. This is asked many times a minute and reads one small file."""
    due = state.due(hub)
    return due is not None and due <= time.time()


def over(state: State, hub: str, peers: Mapping[str, Peer], now: float) -> dict[str, Peer]:
    """Return the peers whose time is over and who are not ended yet."""
    due = state.due(hub)
    return {peer_id: peer for peer_id, peer in peers.items() if _is_over(peer, now) and not _is_ended(peer, due, now)}


def expect(state: State, hub: str, peers: Mapping[str, Peer], now: float) -> None:
    """Be due when the time of one of these is over, or before: for those that are about to be there."""
    moments = [moment for moment in (_next(peers, now), state.due(hub)) if moment is not None]
    state.save_due(hub, min(moments, default=None))


def settle(state: State, hub: str, peers: Mapping[str, Peer], now: float) -> None:
    """Be due when the time of one of these is over next; all that were over at `now` have been ended."""
    state.save_due(hub, _next(peers, now))


def _next(peers: Mapping[str, Peer], now: float) -> int | None:
    moments = (peer.expires_at for peer in peers.values() if peer.expires_at is not None and peer.expires_at > now)
    return min(moments, default=None)


def _is_over(peer: Peer, now: float) -> bool:
    return peer.expires_at is not None and peer.expires_at <= now


def _is_ended(peer: Peer, due: int | None, now: float) -> bool:
    return _is_over(peer, now) and (due is None or peer.expires_at is None or peer.expires_at < due)
