"""What ends by itself: old ways in of peers that switched protocol, and peers whose time is over."""

from __future__ import annotations

import time

from vpn.agent.lifecycle import effective, expiry, incremental, protocol_switch
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.saved import Change
from vpn.agent.system.lock import PATIENCE, hub_lock


def supersede(host: Host, hub: str, patience: float = PATIENCE) -> set[str]:
    """End the old sessions of peers that are there over their new protocol; return which peers those are."""
    arrived = protocol_switch.arrived(host.state, host.names(hub))
    if not arrived:
        return set()
    with hub_lock(host.state.directory, hub, patience):
        saved = host.state.load(hub)
        if saved is None:
            return set()
        was_settled = host.state.settled(hub)
        # Marked before it is remembered that they are over: a crash in between must not leave them in.
        with host.state.unsettled(hub):
            now = time.time()
            change = protocol_switch.shut(host.state, hub, saved.spec.peers, arrived)
            change = expiry.lasting_of(host.state, hub, change, now)
            incremental.apply_change(host, saved.spec, change, now, is_known=was_settled)
        return set(change.peers)


def expire(host: Host, hub: str, patience: float = PATIENCE) -> set[str]:
    """End the peers whose time is over; return which those are."""
    if not expiry.is_due(host.state, hub):
        return set()
    with hub_lock(host.state.directory, hub, patience):
        saved = host.state.load(hub)
        if saved is None or host.state.shared.tombstone(hub) is not None:
            return set()
        now = time.time()
        over = expiry.over(host.state, hub, saved.spec.peers, now)
        was_settled = host.state.settled(hub)
        with host.state.unsettled(hub):
            change = Change({peer_id: (peer, None) for peer_id, peer in over.items()})
            change = effective.of_change(host.state, hub, change, now)
            incremental.apply_change(host, saved.spec, change, now, is_known=was_settled)
        expiry.settle(host.state, hub, saved.spec.peers, now)
        return set(over)
