"""What is true of a hub now."""

from __future__ import annotations

import time
from dataclasses import replace

from vpn.agent.apply import Host
from vpn.agent.components import egress, firewall, namespace, openvpn, wireguard
from vpn.agent.errors import UNKNOWN_HUB, AgentError
from vpn.agent.report import HubReport


def status(host: Host, hub: str, with_peers: bool = True) -> HubReport:
    """Return the hub's report, with the peers that were ever heard from. Raises AgentError `unknown-hub`."""
    started = time.monotonic()
    saved = host.state.load(hub)
    if saved is None:
        raise AgentError(UNKNOWN_HUB, "This server has no such hub.")
    names = host.names(hub)
    directory = host.state.openvpn(hub)
    tunnel = namespace.exists(names.netns) and wireguard.is_alive(names)
    report = HubReport(
        hub=hub,
        epoch=saved.spec.epoch,
        generation=saved.spec.generation,
        digest=saved.digest if host.state.settled(hub) else "",
        alive=tunnel and openvpn.is_alive(directory),
        observed_at=time.time(),
        peers=(wireguard.reports(names) if tunnel else {}) if with_peers else None,
        hits=firewall.hits(names, saved.spec) if with_peers else None,
        sessions=openvpn.reports(names, saved.spec, directory) if with_peers else None,
        families=egress.families(host.place) if with_peers else None,
    )
    return replace(report, duration_ms=round((time.monotonic() - started) * 1000, 3))
