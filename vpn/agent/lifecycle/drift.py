"""Drift: compare a hub with what is saved, read-only, in a small share of the time.

A look takes no lock, so what it finds may be a change under way: only what a second look finds again, while no other
agent can change anything, is told.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.firewall import host_limits, limits
from vpn.agent.lifecycle import effective
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.names import Link
from vpn.agent.network import egress, namespace, netns_view, routing
from vpn.agent.system.lock import host_lock, hub_lock
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding

MOST: Final = 20  # findings
# All looks of an agent together take this share of one processor at most.
_SHARE: Final = 0.05
_PATIENCE: Final = 1.0  # seconds to wait for a lock


def find(host: Host, hub: str, device: wireguard.Device) -> list[Finding] | None:
    """Return what was changed of a hub that is alive, None when it is not the time to look.

    `device` is its tunnel interface as it was seen a moment ago.
    """
    started = time.monotonic()
    if started < host.looks.get(hub, 0.0):
        return None
    try:
        found = _look(host, hub, device)
        if found:
            found = _confirmed(host, hub)
    except AgentError:
        found = None  # Another process is changing it, or it is going away.
    took = time.monotonic() - started
    host.looks[hub] = started + took / _SHARE * len(host.looks.keys() | {hub})
    return None if found is None else _shortened(found)


def _confirmed(host: Host, hub: str) -> list[Finding] | None:
    with hub_lock(host.state.directory, hub, _PATIENCE):
        device = wireguard.observe(host.names(hub))
        return None if device is None else _look(host, hub, device, host_lock(host.state.directory, _PATIENCE))


def _look(
    host: Host, hub: str, device: wireguard.Device, shared: AbstractContextManager[None] | None = None
) -> list[Finding] | None:
    """What differs; what hubs share is looked at within `shared`."""
    saved, number = host.state.load(hub), host.state.shared.links().get(hub)
    if saved is None or number is None or not host.state.settled(hub):
        return None
    names, marks, link = host.names(hub), host.state.marks(hub), Link(number)
    spec = effective.as_left(host.state, saved.spec)
    there = netns_view.look(names.inside)
    with shared or nullcontext():
        way_out = egress.drift(names, link, there, marks, host.state.shared.marks())
    return [
        *wireguard.drift(names, spec, device, there),
        *openvpn.drift(names, spec, host.state.openvpn(hub), there),
        *dns.drift(names, spec, host.state.dns(hub)),
        *firewall.drift(names, spec, marks, thorough=True),
        *limits.drift(names, spec, marks),
        *host_limits.drift(names.host, host.state.shared.marks()),
        *routing.drift(names, spec, link, there),
        *namespace.drift(names, there),
        *way_out,
    ]


def _shortened(found: list[Finding]) -> list[Finding]:
    if len(found) <= MOST:
        return found
    return [*found[: MOST - 1], codes.MORE_CHANGES.of(len(found) - MOST + 1)]
