"""Drift detection: compare a hub with its saved state, read-only, with a small share of processor time.

The first comparison takes no lock, so a difference may be a change in progress. It is reported only if a second
comparison, under the lock, finds it again.
"""

from __future__ import annotations

import resource
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.firewall import host_limits, limits
from vpn.agent.lifecycle import effective, trials
from vpn.agent.lifecycle.host import DRIFT_SHARE, Host
from vpn.agent.memory.names import Link
from vpn.agent.network import egress, namespace, netns_view, routing
from vpn.agent.system.lock import host_lock, hub_lock
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding

MOST: Final = 20  # findings
# A comparison that takes longer, of thousands of peers, may use only a tenth of the share of others.
_LONG: Final = 0.04  # seconds of processor time
_LONG_SHARE: Final = DRIFT_SHARE / 10
_PATIENCE: Final = 1.0  # seconds to wait for a lock


def find(host: Host, hub: str) -> list[Finding] | None:
    """Return how a running hub differs from its saved state, or None if no comparison is due."""
    if time.monotonic() < host.drift_due.get(hub, 0.0) or not host.drift_budget.is_left():
        return None
    spent = _processor_time()
    try:
        found = _compare(host, hub)
        if found:
            with hub_lock(host.state.directory, hub, _PATIENCE):
                found = _compare(host, hub, host_lock(host.state.directory, _PATIENCE))
    except AgentError:
        found = None  # Another process is changing or removing the hub.
    took = _processor_time() - spent
    host.drift_budget.spend(took)
    # Another agent may have destroyed hubs meanwhile: they take no share of the time.
    for gone in host.drift_due.keys() - set(host.state.hubs()):
        del host.drift_due[gone]
    rest = took / (_LONG_SHARE if took > _LONG else DRIFT_SHARE) * len(host.drift_due.keys() | {hub})
    host.drift_due[hub] = time.monotonic() + rest
    return None if found is None else _shortened(found)


def _processor_time() -> float:
    """Return the processor time of this process and of the programs that it ran, in seconds."""
    own, programs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + programs.ru_utime + programs.ru_stime


def _compare(host: Host, hub: str, shared: AbstractContextManager[None] | None = None) -> list[Finding] | None:
    """Return all differences. The host's shared tables are compared within `shared` (a lock)."""
    names = host.names(hub)
    saved, number, device = host.state.load(hub), host.state.shared.links().get(hub), wireguard.observe(names)
    if saved is None or number is None or device is None or not host.state.settled(hub):
        return None
    if host.state.removals(hub).pending() or trials.is_due(host.state, hub):
        return None  # a newer version, or the former settings, are about to come
    fingerprints, link = host.state.fingerprints(hub), Link(number)
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
