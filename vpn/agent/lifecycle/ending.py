"""Changes that the agent makes without the portal: close former connections, remove expired peers, end trials."""

from __future__ import annotations

import time

from vpn.agent.lifecycle import effective, expiry, incremental, protocol_switch, removals, trials
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.reconcile import reconcile
from vpn.agent.memory.saved import Change
from vpn.agent.system.lock import PATIENCE, BusyError


def close_former_connections(host: Host, hub: str, patience: float = PATIENCE) -> set[str]:
    """Close the former connections of peers that connected over their new protocol; return these peers."""
    arrived = protocol_switch.connected_over_new(host.state, host.names(hub))
    if not arrived:
        return set()
    with removals.changing(host, hub, patience):
        saved = host.state.load(hub)
        if saved is None:
            return set()
        was_settled = host.state.settled(hub)
        # Mark the hub unsettled before saving that they are closed: after a crash in between, everything is compared.
        with host.state.unsettled(hub):
            now = time.time()
            change = protocol_switch.close_former(host.state, hub, saved.spec.peers, arrived)
            change = expiry.without_expired(host.state, hub, change, now)
            incremental.apply_change(host, saved.spec, change, now, is_known=was_settled)
        return set(change.peers)


def expire(host: Host, hub: str, patience: float = PATIENCE) -> set[str]:
    """Remove the expired peers from the hub; return these peers.

    Raises BusyError if another process changes the hub for longer than `patience` seconds. They are out even then.
    """
    if not expiry.is_due(host.state, hub):
        return set()
    try:
        with removals.changing(host, hub, patience):
            return _expire(host, hub)
    except BusyError:
        removals.remove_expired(host, hub, time.time())
        raise


def _expire(host: Host, hub: str) -> set[str]:
    saved = host.state.load(hub)
    if saved is None or host.state.shared.tombstone(hub) is not None:
        return set()
    now = time.time()
    over = expiry.newly_expired(host.state, hub, saved.spec.peers, now)
    was_settled = host.state.settled(hub)
    with host.state.unsettled(hub):
        change = Change({peer_id: (peer, None) for peer_id, peer in over.items()})
        change = effective.of_change(host.state, hub, change, now)
        incremental.apply_change(host, saved.spec, change, now, is_known=was_settled)
    expiry.reschedule(host.state, hub, saved.spec.peers, now)
    return set(over)


def end_trial(host: Host, hub: str, patience: float = PATIENCE) -> set[str]:
    """Return the hub to its former settings if its trial is over; return the id of the trial.

    Killed anywhere, it is done again, because the deadline is marked at the end. Raises BusyError if another process
    changes the hub for longer than `patience` seconds.
    """
    if not trials.is_due(host.state, hub):
        return set()
    with removals.changing(host, hub, patience):
        saved, deadline = host.state.load(hub), host.state.deadlines(hub).load()
        if saved is None or deadline is None or not deadline.is_due or host.state.shared.tombstone(hub) is not None:
            return set()
        reconcile(host, saved.spec)
        return {deadline.trial}
