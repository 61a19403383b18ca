"""The effective spec: a spec without expired peers, early removals, and closed former connections.

The saved spec still contains them until the portal removes them. After a trial, it has the former settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vpn.agent.lifecycle import expiry, protocol_switch, trials
from vpn.agent.memory.saved import Change
from vpn.agent.memory.state import State
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec


def prepare(state: State, spec: HubSpec, now: float) -> None:
    """Record expiry times and protocol switches of the peers in `spec`, before these peers are admitted."""
    expiry.schedule(state, spec.hub, spec.peers, now)
    protocol_switch.record(state, spec.hub, spec.peers)


def of_spec(state: State, spec: HubSpec, now: float) -> HubSpec:
    """Return the effective spec at `now` (Unix time)."""
    return _with_peers(state, spec, expiry.not_expired(spec.peers, now))


def as_last_applied(state: State, spec: HubSpec) -> HubSpec:
    """Return the effective spec at the last change, to compare with: a peer that just expired may still exist."""
    return _with_peers(state, spec, expiry.not_removed(state, spec.hub, spec.peers))


def of_change(state: State, hub: str, change: Change, now: float) -> Change:
    """Return the effective change at `now` (Unix time), and record which peers switch protocol in it."""
    protocol_switch.record(state, hub, change.sides()[1])
    return protocol_switch.change_without_closed(state, hub, expiry.without_expired(state, hub, change, now))


def _with_peers(state: State, spec: HubSpec, peers: Mapping[str, Peer]) -> HubSpec:
    removed = state.removals(spec.hub).after(spec.version)
    kept = {peer_id: peer for peer_id, peer in peers.items() if peer_id not in removed} if removed else peers
    settings = trials.in_force(state, spec)
    return replace(settings, peers=protocol_switch.without_closed(state, spec.hub, kept))
