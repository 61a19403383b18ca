"""The current status of hubs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial

from vpn.agent import firewall, openvpn, wireguard
from vpn.agent.lifecycle import changes, drift, health, trials
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.names import Names
from vpn.agent.network import egress
from vpn.wire import codes
from vpn.wire.errors import UNKNOWN_HUB, AgentError
from vpn.wire.report import HubReport
from vpn.wire.spec import HubSpec


def status(host: Host, hub: str, with_peers: bool = True) -> HubReport:
    """Return the hub's report, with the peers that ever connected. Raises AgentError `unknown-hub`."""
    return _status(host, hub, partial(egress.families, host.netns) if with_peers else None)


def statuses(host: Host, hubs: Mapping[str, str], seconds: float) -> Iterator[tuple[str, Callable[[], HubReport]]]:
    """Yield by hub the function that makes its report, in order; after `seconds`, no further hub.

    What all hubs share is read once. A report is shortened by the last one if that has the stamp in `hubs`.
    """
    for gone in host.last_reports.keys() - set(host.state.hubs()):
        del host.last_reports[gone]
    ends = time.monotonic() + seconds
    families = cache(partial(egress.families, host.netns))
    for place, (hub, known) in enumerate(hubs.items()):
        if place and time.monotonic() > ends:
            return
        yield hub, partial(_changes, host, hub, families, known)


def _changes(host: Host, hub: str, families: Callable[[], list[str]], known: str) -> HubReport:
    return changes.shorten(_status(host, hub, families), host.last_reports, known)


def _status(host: Host, hub: str, families: Callable[[], list[str]] | None) -> HubReport:
    """Return the hub's report. If `families` is None, only whether it is alive and which spec it runs."""
    with_peers = families is not None
    started = time.monotonic()
    saved = host.state.load(hub)
    if saved is None:
        raise AgentError(UNKNOWN_HUB, "This server has no such hub.", codes.HUB_UNKNOWN.of())
    names = host.names(hub)
    directory = host.state.openvpn(hub)
    spec, alive = trials.in_force(host.state, saved.spec), health.is_alive(host.hub(hub))
    peers = wireguard.reports(names) if with_peers else None
    report = HubReport(
        hub=hub,
        epoch=saved.spec.epoch,
        generation=saved.spec.generation,
        digest=saved.digest if host.state.settled(hub) else "",
        alive=alive,
        observed_at=time.time(),
        peers=(peers or {}) if with_peers else None,
        sessions=openvpn.reports(names, spec, directory) if with_peers else None,
        hits=firewall.hits(names, spec) if with_peers else None,
        drift=drift.find(host, hub) if alive and peers is not None else None,
        families=families() if families is not None else None,
        upstreams=_upstreams(host, names, saved.spec) if alive and with_peers else None,
    )
    return replace(report, duration_ms=round((time.monotonic() - started) * 1000, 3))


def _upstreams(host: Host, names: Names, spec: HubSpec) -> dict[str, bool] | None:
    """Return which upstream resolvers of the hub answered lately; None before the first result."""
    if spec.resolver is None:
        return None
    return host.upstreams.answers(names.hub, names.netns, spec.resolver.upstreams)
