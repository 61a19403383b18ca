"""Restore a hub after a crash or a reboot."""

from __future__ import annotations

import time
from contextlib import suppress

from vpn.agent.lifecycle import effective, health, removals
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import HostParts
from vpn.agent.lifecycle.reconcile import ensure_processes, reconcile
from vpn.agent.system.lock import PATIENCE
from vpn.wire.errors import AgentError
from vpn.wire.spec import HubSpec


def restore(host: Host, hub: str, patience: float = PATIENCE, parts: HostParts | None = None) -> bool:
    """Bring a hub back to its saved state, for example after a reboot; return True if anything was missing.

    With `parts`, the host's own parts are not checked for each hub. Raises BusyError if another process changes the hub
    for longer than `patience` seconds.
    """
    with removals.changing(host, hub, patience):
        saved = host.state.load(hub)
        if saved is None or host.state.shared.tombstone(hub) is not None or host.state.leases.is_over(hub):
            return False
        # Dead daemons first: clients over TCP reconnect within a second once their listener is back.
        is_revived = _revive(host, saved.spec)
        return any(reconcile(host, saved.spec, parts=parts).values()) or is_revived


def _revive(host: Host, spec: HubSpec) -> bool:
    """Start daemons that died, if the tunnel interface works; return True if there were any."""
    hub = host.hub(spec.hub)
    if not health.has_tunnel(hub):
        return False
    with suppress(AgentError):  # the full comparison afterwards tries again
        return any(ensure_processes(hub, effective.of_spec(host.state, spec, time.time())).values())
    return False
