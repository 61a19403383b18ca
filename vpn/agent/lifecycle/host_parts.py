"""The host's forwarding, tables and address families, checked once for many hubs that are restored together."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.firewall import host_limits
from vpn.agent.lifecycle.host import Host
from vpn.agent.network import egress, source
from vpn.agent.system.lock import host_lock

# Until the next check. A change that is made meanwhile is found by `watch`, which checks these parts by itself.
_VALID: Final = 2.0  # seconds


def reconcile_host(host: Host) -> bool:
    """Ensure the host's forwarding and its nftables tables; return True if anything changed."""
    with host_lock(host.state.directory):
        fingerprints = host.state.shared.fingerprints()
        before = dict(fingerprints)
        changed = egress.ensure_host(host.netns, fingerprints, host.state.shared.servers())
        sources = host.state.shared.sources()
        changed |= source.ensure(host.netns, sources.values(), fingerprints)
        changed |= host_limits.ensure(host.netns, sources, host.state.shared.servers(), fingerprints)
        if fingerprints != before:
            host.state.shared.save_fingerprints(fingerprints)
    return changed


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
