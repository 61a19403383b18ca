"""Restart daemons whose program or library was replaced, for example by a package upgrade.

A daemon that runs with more rights than it should, started by an older agent, is restarted too. Only one daemon on the
whole server restarts at a time, and the next only if it works: a broken package must not end all tunnels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from vpn.agent import wireguard
from vpn.agent.dns import config as resolver_config
from vpn.agent.dns import process as resolver_process
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.restore import restore
from vpn.agent.memory.names import LISTENERS
from vpn.agent.openvpn import layout as openvpn_layout
from vpn.agent.openvpn import process as openvpn_process
from vpn.agent.openvpn import routes as openvpn_routes
from vpn.agent.system import processes
from vpn.agent.system.confine import Confinement
from vpn.agent.system.lock import BusyError, hub_lock
from vpn.agent.system.processes import Process
from vpn.wire.errors import AgentError

_PAUSE: Final = 600.0  # seconds without another restart after one failed
_BRIEFLY: Final = 0.05  # seconds to wait for a hub that is being changed


@dataclass(frozen=True)
class Daemon:
    """A running daemon of a hub, and the confinement that it should have."""

    hub: str
    name: str
    program: str
    process: Process
    confinement: Confinement

    @property
    def faults(self) -> frozenset[str]:
        """The reasons for a restart; empty if there are none."""
        replaced = processes.replaced(self.process.pid)
        return replaced if self.confinement.holds(self.process.pid) else replaced | {"rights"}


@dataclass
class Upgrades:
    """State between two runs."""

    host: Host
    # The reasons for which a daemon was restarted. If they persist, it is not restarted for them again.
    _tried: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    _paused_until: float = 0.0

    def run(self) -> Daemon | None:
        """Restart the first daemon that needs it and return it; None if there is none. Raises AgentError."""
        if time.monotonic() < self._paused_until:
            return None
        for hub in self.host.state.hubs():
            for daemon in daemons(self.host, hub):
                faults = daemon.faults
                if faults and self._tried.get((hub, daemon.name)) != faults:
                    with suppress(BusyError), hub_lock(self.host.state.directory, hub, _BRIEFLY):
                        self._tried[hub, daemon.name] = faults
                        return self._restart(daemon)
        return None

    def _restart(self, daemon: Daemon) -> Daemon:
        """Stop a daemon, restore the hub, and return the daemon. Needs the hub's lock."""
        try:
            processes.end(daemon.program, [daemon.process])
            restore(self.host, daemon.hub)
        except AgentError:
            self._paused_until = time.monotonic() + _PAUSE
            raise
        return daemon


def daemons(host: Host, hub: str) -> Iterator[Daemon]:
    """Yield the running daemons of a hub."""
    names = host.names(hub)
    listeners, resolver = openvpn_layout.Layout(host.state.openvpn(hub)), resolver_config.Layout(host.state.dns(hub))
    if process := wireguard.from_pid_file(names):
        yield Daemon(hub, "wireguard", wireguard.PROGRAM, process, wireguard.confinement(names))
    for listener in LISTENERS:
        if process := openvpn_process.from_pid_file(listeners, listener):
            confinement = openvpn_process.confinement(names, listeners)
            yield Daemon(hub, f"openvpn {listener}", openvpn_process.PROGRAM, process, confinement)
    if process := openvpn_routes.from_pid_file(listeners):
        confinement = openvpn_routes.confinement(names, listeners)
        yield Daemon(hub, "openvpn routes", openvpn_routes.PROGRAM, process, confinement)
    if process := resolver_process.from_pid_file(resolver):
        yield Daemon(hub, "dns", resolver_process.PROGRAM, process, resolver_process.confinement(names, resolver))
