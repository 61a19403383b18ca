"""Remove a hub with all its parts."""

from __future__ import annotations

import time

from vpn.agent.lifecycle import reports
from vpn.agent.lifecycle.components import COMPONENTS
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import reconcile_host
from vpn.agent.memory.shared import Version
from vpn.agent.network import egress, namespace
from vpn.agent.system import processes, users
from vpn.agent.system.lock import hub_lock
from vpn.wire import codes
from vpn.wire.errors import STALE, AgentError
from vpn.wire.report import HubReport


def destroy(host: Host, hub: str, version: Version) -> HubReport:
    """Remove the hub with all its parts and leave a tombstone. Calling it twice is harmless.

    Raises AgentError `stale` if the hub has a newer spec than `version` (epoch, generation).
    """
    started = time.monotonic()
    with hub_lock(host.state.directory, hub):
        saved = host.state.load(hub)
        if saved is not None and saved.spec.version > version:
            message = "The hub has a newer configuration than the one that is to be destroyed."
            raise AgentError(STALE, message, codes.HUB_NEWER.of())
        host.state.shared.save_tombstone(hub, max(version, host.state.shared.tombstone(hub) or version))
        names = host.names(hub)
        there = {"namespace": namespace.exists(names.netns)}
        there |= {name: component.remove(host.hub(hub)) for name, component in COMPONENTS.items()}
        processes.end_users(users.known(host.state.directory, hub))
        egress.remove(names)
        namespace.remove(names)
        host.state.shared.close_hubs([hub])
        reconcile_host(host)
        host.state.shared.forget_servers([hub])
        host.state.leases.end([hub])
        host.state.forget(hub)
        users.forget(host.state.directory, [hub])
        epoch, generation = version
        report = HubReport(hub, epoch, generation, "", alive=False, observed_at=time.time())
        report.changed.update(there)
        return reports.timed(report, started)
