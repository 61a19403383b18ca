"""Remove all hubs of a server, many at once: each step once for all of them, which takes far less than one by one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from vpn.agent.dns import config as resolver_config
from vpn.agent.dns import process as resolver_process
from vpn.agent.lifecycle.handover import end_forwarding
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import reconcile_host
from vpn.agent.memory.names import LISTENERS
from vpn.agent.network import namespace
from vpn.agent.openvpn import layout as openvpn_layout
from vpn.agent.openvpn import process as openvpn_process
from vpn.agent.openvpn import routes as openvpn_routes
from vpn.agent.system import cgroup, command, processes, users
from vpn.agent.system.lock import hub_lock
from vpn.agent.wireguard import PROGRAM as WIREGUARD_GO
from vpn.agent.wireguard import uapi

# Each hub's lock is an open file; a process may have 1,024 of them.
_AT_ONCE: Final = 200
# Numbers of interface groups (ip-link(8)) that others are unlikely to use.
_GROUPS: Final = range(2**30, 2**31 - 1)


def destroy_some(host: Host) -> list[str]:
    """Remove up to 200 hubs with all their parts, leave tombstones, and return their names; none are left if empty.

    May be repeated after a failure. Hubs with an unreadable spec stay. Nothing is forwarded any more, either.
    """
    for hub in host.state.shared.forwarded():
        end_forwarding(host, hub)
    directory, removed = host.state.directory, list[str]()
    with ExitStack() as locks:
        for hub in host.state.hubs()[:_AT_ONCE]:
            locks.enter_context(hub_lock(directory, hub))
            saved, tombstone = host.state.load(hub), host.state.shared.tombstone(hub)
            if saved is not None:
                # From here on, `watch` does not restore the hub.
                host.state.shared.save_tombstone(hub, max(saved.spec.version, tombstone or saved.spec.version))
                removed.append(hub)
        if removed:
            _end_daemons(host, removed)
            _remove_network(host, removed)
            host.state.shared.close_hubs(removed)
            reconcile_host(host)
            host.state.shared.forget_servers(removed)
            host.state.leases.end(removed)
            for hub in removed:
                host.state.forget(hub)
            users.forget(directory, removed)
    return removed


def _end_daemons(host: Host, hubs: Sequence[str]) -> None:
    """Kill the daemons of these hubs, also those that an earlier release started as root."""
    processes.end_users({user for hub in hubs for user in users.known(host.state.directory, hub)})
    listeners = [openvpn_layout.Layout(host.state.openvpn(hub)) for hub in hubs]
    processes.stop(openvpn_process.PROGRAM, [each.config(listener) for each in listeners for listener in LISTENERS])
    processes.stop(openvpn_routes.PROGRAM, [each.routes for each in listeners])
    processes.stop(resolver_process.PROGRAM, [resolver_config.Layout(host.state.dns(hub)).config for hub in hubs])
    tunnels = [host.names(hub).wireguard for hub in hubs]
    processes.stop(WIREGUARD_GO, tunnels)
    for tunnel in tunnels:
        uapi.socket_path(tunnel).unlink(missing_ok=True)
        uapi.pid_path(tunnel).unlink(missing_ok=True)
    for hub in hubs:
        cgroup.remove(hub)


def _remove_network(host: Host, hubs: Sequence[str]) -> None:
    """Remove the hubs' namespaces, and their links to the host. As a group, these are removed at the price of one."""
    every, group = [host.names(hub) for hub in hubs], secrets.choice(_GROUPS)
    links = [f"link set dev {names.hostlink} group {group}" for names in every]
    batch = ["ip", "-force", "-batch", "-"]
    # What does not exist any more is no fault.
    host.netns.try_run(batch, "\n".join([*links, f"link delete group {group}"]) + "\n")
    command.try_run(batch, "".join(f"netns delete {names.netns}\n" for names in every))
    for names in every:
        namespace.remove(names)
