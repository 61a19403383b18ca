"""The current status of a hub."""

from __future__ import annotations

import time
from dataclasses import replace

from vpn.agent import firewall, openvpn, wireguard
from vpn.agent.lifecycle import drift, health
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.names import Names
from vpn.agent.network import egress
from vpn.wire import codes
from vpn.wire.errors import UNKNOWN_HUB, AgentError
from vpn.wire.report import HubReport
from vpn.wire.spec import HubSpec


def status(host: Host, hub: str, with_peers: bool = True) -> HubReport:
    """Return the hub's report, with the peers that ever connected. Raises AgentError `unknown-hub`."""
    started = time.monotonic()
    saved = host.state.load(hub)
    if saved is None:
        raise AgentError(UNKNOWN_HUB, "This server has no such hub.", codes.HUB_UNKNOWN.of())
    names = host.names(hub)
    directory = host.state.openvpn(hub)
    alive = health.is_alive(host.hub(hub))
    device = wireguard.observe(names) if with_peers else None
    report = HubReport(
        hub=hub,
        epoch=saved.spec.epoch,
        generation=saved.spec.generation,
        digest=saved.digest if host.state.settled(hub) else "",
        alive=alive,
        observed_at=time.time(),
        peers=(wireguard.reports(device) if device else {}) if with_peers else None,
        sessions=openvpn.reports(names, saved.spec, directory) if with_peers else None,
        hits=firewall.hits(names, saved.spec) if with_peers else None,
        drift=drift.find(host, hub, device) if alive and device else None,
        families=egress.families(host.netns) if with_peers else None,
        upstreams=_upstreams(host, names, saved.spec) if alive and with_peers else None,
    )
    return replace(report, duration_ms=round((time.monotonic() - started) * 1000, 3))


def _upstreams(host: Host, names: Names, spec: HubSpec) -> dict[str, bool] | None:
    """Return which upstream resolvers of the hub answered lately; None before the first result."""
    if spec.resolver is None:
        return None
    return host.upstreams.answers(names.hub, names.netns, spec.resolver.upstreams)
