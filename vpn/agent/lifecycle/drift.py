"""Drift detection: compare a hub with its saved state, read-only, with a small share of CPU time.

The first comparison takes no lock, so a difference may be a change in progress. It is reported only if a second
comparison, under the lock, finds it again.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.firewall import host_limits, limits
from vpn.agent.lifecycle import effective
from vpn.agent.lifecycle.host import DRIFT_SHARE, Host
from vpn.agent.memory.names import Link
from vpn.agent.network import egress, namespace, netns_view, routing
from vpn.agent.system.lock import host_lock, hub_lock
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding

MOST: Final = 20  # findings
_PATIENCE: Final = 1.0  # seconds to wait for a lock


def find(host: Host, hub: str, device: wireguard.Device) -> list[Finding] | None:
    """Return how a running hub differs from its saved state, or None if no comparison is due.

    `device` is its tunnel interface, read a moment ago.
    """
    started = time.monotonic()
    if started < host.drift_due.get(hub, 0.0) or not host.drift_budget.is_left():
        return None
    try:
        found = _compare(host, hub, device)
        if found:
            found = _confirmed(host, hub)
    except AgentError:
        found = None  # Another process is changing or removing the hub.
    took = time.monotonic() - started
    host.drift_budget.spend(took)
    # Another agent may have destroyed hubs meanwhile: they take no share of the time.
    for gone in host.drift_due.keys() - set(host.state.hubs()):
        del host.drift_due[gone]
    host.drift_due[hub] = started + took / DRIFT_SHARE * len(host.drift_due.keys() | {hub})
    return None if found is None else _shortened(found)


def _confirmed(host: Host, hub: str) -> list[Finding] | None:
    with hub_lock(host.state.directory, hub, _PATIENCE):
        device = wireguard.observe(host.names(hub))
        return None if device is None else _compare(host, hub, device, host_lock(host.state.directory, _PATIENCE))


def _compare(
    host: Host, hub: str, device: wireguard.Device, shared: AbstractContextManager[None] | None = None
) -> list[Finding] | None:
    """Return all differences. The host's shared tables are compared within `shared` (a lock)."""
    saved, number = host.state.load(hub), host.state.shared.links().get(hub)
    if saved is None or number is None or not host.state.settled(hub):
        return None
    names, fingerprints, link = host.names(hub), host.state.fingerprints(hub), Link(number)
    spec = effective.as_last_applied(host.state, saved.spec)
    there = netns_view.read(names.inside)
    with shared or nullcontext():
        way_out = egress.drift(names, link, there, fingerprints, host.state.shared.fingerprints())
    return [
        *wireguard.drift(names, spec, device, there),
        *openvpn.drift(names, spec, host.state.openvpn(hub), there),
        *dns.drift(names, spec, host.state.dns(hub)),
        *firewall.drift(names, spec, fingerprints, thorough=True),
        *limits.drift(names, spec, fingerprints),
        *host_limits.drift(names.host, host.state.shared.fingerprints()),
        *routing.drift(names, spec, link, there),
        *namespace.drift(names, there),
        *way_out,
    ]


def _shortened(found: list[Finding]) -> list[Finding]:
    if len(found) <= MOST:
        return found
    return [*found[: MOST - 1], codes.MORE_CHANGES.of(len(found) - MOST + 1)]
