"""Health of a hub: its namespace, its tunnel interface, OpenVPN's listeners and the resolver."""

from __future__ import annotations

from dataclasses import dataclass, field

from vpn.agent import dns, openvpn, wireguard
from vpn.agent.lifecycle.components import COMPONENTS
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.hub import Hub
from vpn.agent.network import namespace
from vpn.agent.wireguard import uapi


def has_tunnel(hub: Hub) -> bool:
    """Return True if the hub's namespace and its tunnel interface work."""
    return namespace.exists(hub.names.netns) and wireguard.is_alive(hub)


def is_alive(hub: Hub) -> bool:
    """Return True if all configured parts of a hub work."""
    return namespace.exists(hub.names.netns) and all(component.is_alive(hub) for component in COMPONENTS.values())


@dataclass
class Liveness:
    """The same check for `watch`, many times a minute: it starts no program."""

    host: Host
    # Hubs with wireguard-go: if its socket is gone, so is the tunnel.
    _in_userspace: set[str] = field(default_factory=set)

    def is_alive(self, name: str) -> bool:
        """Return True if all configured parts of a hub work."""
        hub = self.host.hub(name)
        return (
            namespace.exists(hub.names.netns) and self._has_tunnel(hub) and openvpn.is_alive(hub) and dns.is_alive(hub)
        )

    def _has_tunnel(self, hub: Hub) -> bool:
        names = hub.names
        answering = uapi.is_answering(names.wireguard)
        if answering:
            self._in_userspace.add(names.hub)
        # None: a kernel interface, which exists as long as its namespace.
        return answering or (answering is None and names.hub not in self._in_userspace)
