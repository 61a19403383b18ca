"""Health of a hub: its namespace, its tunnel interface, OpenVPN's listeners and the resolver."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from vpn.agent import dns, openvpn, wireguard
from vpn.agent.lifecycle.components import COMPONENTS
from vpn.agent.lifecycle.daemons import DaemonFiles, daemons
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.hub import Hub
from vpn.agent.network import namespace
from vpn.agent.system.process_ends import ProcessEnds
from vpn.agent.system.stamps import Stamp
from vpn.agent.wireguard import uapi

_ALIVE_FOR: Final = 30.0  # seconds without a check of a hub in which nothing changed


def has_tunnel(hub: Hub) -> bool:
    """Return True if the hub's namespace and its tunnel interface work."""
    return namespace.exists(hub.names.netns) and wireguard.is_alive(hub)


def is_alive(hub: Hub) -> bool:
    """Return True if all configured parts of a hub work."""
    return namespace.exists(hub.names.netns) and all(component.is_alive(hub) for component in COMPONENTS.values())


@dataclass
class Liveness:
    """The same check for `watch`, many times a minute: it starts no program, and reads only what may have changed.

    The end of a daemon is noticed at once. A hub is checked again when one of its daemons ended, or when a file was
    replaced that is written at the start of a daemon.
    """

    host: Host
    ends: ProcessEnds = field(default_factory=ProcessEnds)
    # Hubs with wireguard-go: if its socket is gone, so is the tunnel.
    _in_userspace: set[str] = field(default_factory=set)
    _files: DaemonFiles = field(init=False)
    # By hub that was alive: its stamp before the check, and the time (time.monotonic) of the next one.
    _alive: dict[str, tuple[Stamp, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files = DaemonFiles(self.host)

    def wait(self, seconds: float) -> bool:
        """Wait at most so long until a daemon ends; return True if one did."""
        ended = self.ends.wait(seconds)
        for name in ended:
            self._alive.pop(name, None)
        return bool(ended)

    def is_alive(self, name: str) -> bool:
        """Return True if all configured parts of a hub work."""
        if not namespace.exists(self.host.names(name).netns):
            self._alive.pop(name, None)
            return False
        stamp = self._files.stamp(name)
        before, until = self._alive.get(name, (None, 0.0))
        if stamp is not None and stamp == before and time.monotonic() < until:
            return True
        self._alive.pop(name, None)
        # First watch the daemons, so that one that ends after the check is noticed.
        are_watched = self.ends.watch(name, [daemon.process.pid for daemon in daemons(self.host, name)])
        hub = self.host.hub(name)
        if not (self._has_tunnel(hub) and openvpn.is_alive(hub) and dns.is_alive(hub)):
            return False
        if stamp is not None and are_watched:
            self._alive[name] = stamp, time.monotonic() + _ALIVE_FOR
        return True

    def keep(self, hubs: Collection[str]) -> None:
        """Forget all hubs but these."""
        for name in self.ends.hubs() - set(hubs):
            self.ends.forget(name)
            self._alive.pop(name, None)

    def _has_tunnel(self, hub: Hub) -> bool:
        names = hub.names
        answering = uapi.is_answering(names.wireguard)
        if answering:
            self._in_userspace.add(names.hub)
        # None: a kernel interface, which exists as long as its namespace.
        return answering or (answering is None and names.hub not in self._in_userspace)
