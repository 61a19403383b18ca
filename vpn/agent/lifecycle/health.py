"""Whether a hub lives: its namespace, its tunnel interface, OpenVPN's listeners and the resolver."""

from __future__ import annotations

from dataclasses import dataclass, field

from vpn.agent.dns import component as dns
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.names import Names
from vpn.agent.network import namespace
from vpn.agent.openvpn import component as openvpn
from vpn.agent.wireguard import component as wireguard
from vpn.agent.wireguard import uapi


def has_tunnel(names: Names) -> bool:
    """Return whether the hub's namespace and its tunnel interface work."""
    return namespace.exists(names.netns) and wireguard.is_alive(names)


def is_alive(host: Host, hub: str) -> bool:
    """Return whether all parts of a hub work that are to be there."""
    return has_tunnel(host.names(hub)) and _are_daemons_alive(host, hub)


@dataclass
class Pulse:
    """The same for the watch, which asks many times a minute: no program is started for the answer."""

    host: Host
    # Hubs whose tunnel is a process: when its socket is gone, so is the tunnel.
    _in_userspace: set[str] = field(default_factory=set)

    def is_alive(self, hub: str) -> bool:
        """Return whether all parts of a hub work that are to be there."""
        names = self.host.names(hub)
        return namespace.exists(names.netns) and self._has_tunnel(names) and _are_daemons_alive(self.host, hub)

    def _has_tunnel(self, names: Names) -> bool:
        answering = uapi.is_answering(names.wireguard)
        if answering:
            self._in_userspace.add(names.hub)
        # A kernel's interface (None) lives as long as its namespace.
        return answering or (answering is None and names.hub not in self._in_userspace)


def _are_daemons_alive(host: Host, hub: str) -> bool:
    return openvpn.is_alive(host.state.openvpn(hub)) and dns.is_alive(host.state.dns(hub))
