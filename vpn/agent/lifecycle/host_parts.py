"""The host's forwarding, tables and address families, checked once for many hubs that are restored together."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.firewall import host_limits
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.shared import Shared
from vpn.agent.network import egress, source
from vpn.agent.system import inotify
from vpn.agent.system.command import Netns
from vpn.agent.system.lock import host_lock

# Until the next check. A change that is made meanwhile is found by `watch`, which checks these parts by itself.
_VALID: Final = 2.0  # seconds


def reconcile_host(host: Host) -> bool:
    """Ensure the host's forwarding and its nftables tables; return True if anything changed.

    The limit of inotify instances is raised if it is used up, and put back with the last hub.
    """
    with host_lock(host.state.directory):
        fingerprints = host.state.shared.fingerprints()
        before = dict(fingerprints)
        changed = egress.ensure_host(host.netns, fingerprints, host.state.shared.servers())
        sources = host.state.shared.sources()
        if sources:
            ensure_room(host.netns, host.state.shared)
        else:
            _put_limits_back(host)
        changed |= source.ensure(host.netns, sources.values(), fingerprints)
        changed |= host_limits.ensure(host.netns, sources, host.state.shared.servers(), fingerprints)
        if fingerprints != before:
            host.state.shared.save_fingerprints(fingerprints)
    return changed


def ensure_room(netns: Netns, shared: Shared, user: int = 0) -> bool:
    """Return True if a daemon of a hub may have an inotify instance. The limits are raised if they are used up."""
    if inotify.has_room(user):
        return True
    with host_lock(shared.directory):
        raised = inotify.make_room(netns)
        known = shared.raised_limits()
        # Of a limit that was raised before, the first value is put back.
        after = known | {name: (known.get(name, each)[0], each[1]) for name, each in raised.items()}
        if after != known:
            shared.save_raised_limits(after)
    return inotify.has_room(user)


def _put_limits_back(host: Host) -> None:
    if raised := host.state.shared.raised_limits():
        inotify.put_back(host.netns, raised)
        host.state.shared.save_raised_limits({})


@dataclass
class HostParts:
    """The checked parts of one host, for several threads."""

    host: Host
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _families: list[str] = field(default_factory=list)
    _checked_at: float = -_VALID

    def families(self) -> list[str]:
        """Reconcile the host unless that was done just now, and return its address families. Raises AgentError."""
        with self._lock:
            if time.monotonic() - self._checked_at >= _VALID:
                reconcile_host(self.host)
                self._families = egress.families(self.host.netns)
                self._checked_at = time.monotonic()
            return self._families
