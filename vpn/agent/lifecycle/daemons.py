"""The daemons of a hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from vpn.agent import wireguard
from vpn.agent.dns import config as resolver_config
from vpn.agent.dns import process as resolver_process
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.names import LISTENERS
from vpn.agent.openvpn import layout as openvpn_layout
from vpn.agent.openvpn import process as openvpn_process
from vpn.agent.openvpn import routes as openvpn_routes
from vpn.agent.system import processes, stamps
from vpn.agent.system.confine import Confinement
from vpn.agent.system.processes import Process
from vpn.agent.system.stamps import Stamp
from vpn.agent.wireguard import uapi


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
class DaemonFiles:
    """The files and directories of each hub that change when one of its daemons is started or configured."""

    host: Host
    _paths: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def stamp(self, hub: str) -> Stamp | None:
        """Return their stamp; None if one of them has changed just now."""
        if hub not in self._paths:
            names, listeners = self.host.names(hub), openvpn_layout.Layout(self.host.state.openvpn(hub))
            sockets = uapi.socket_path(names.wireguard), uapi.pid_path(names.wireguard)
            directories = listeners.directory, listeners.run, self.host.state.dns(hub)
            self._paths[hub] = tuple(map(str, (*sockets, *directories)))
        return stamps.of(self._paths[hub])


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
