"""The host's forwarding, tables and address families: checked when they may have changed, once for many hubs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.firewall import host_limits
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.shared import Shared
from vpn.agent.network import egress, forwarding, source
from vpn.agent.network.forwarding import Forwarded
from vpn.agent.system import inotify, stamps
from vpn.agent.system.command import Netns
from vpn.agent.system.kernel_events import KernelEvents
from vpn.agent.system.lock import host_lock
from vpn.agent.system.stamps import Stamp

# Until the next check. A change that is made meanwhile is found by `watch`, which checks these parts by itself.
_VALID: Final = 2.0  # seconds
_UNCHANGED_FOR: Final = 60.0  # seconds without a check of a host of which nothing was announced
# The shared state on which the host's tables depend (see memory.state).
_FILES: Final = ("sources.json", "servers.json", "fingerprints.json", "forwarded.json")


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
    return _repair_forwarding(host) or changed


def forwarded(host: Host) -> dict[str, Forwarded]:
    """Return by hub what this server forwards for hubs that run elsewhere now."""
    documents = host.state.shared.forwarded().items()
    return {hub: read for hub, one in documents if (read := Forwarded.read(one)) is not None}


def reconcile_forwarding(host: Host) -> bool:
    """Load the table of forwarded ports if it differs; return True if it did."""
    with host_lock(host.state.directory):
        fingerprints = host.state.shared.fingerprints()
        before = dict(fingerprints)
        changed = forwarding.ensure(host.netns, forwarded(host).values(), fingerprints)
        if fingerprints != before:
            host.state.shared.save_fingerprints(fingerprints)
    return changed


def _repair_forwarding(host: Host) -> bool:
    """As `reconcile_forwarding`. Connections that began while the table was missing are forgotten."""
    # Without a table that was loaded or is to be, nothing is asked of nft.
    if not host.state.shared.forwarded() and forwarding.TABLE not in host.state.shared.fingerprints():
        return False
    if not reconcile_forwarding(host):
        return False
    for one in forwarded(host).values():
        forwarding.end_flows(host.netns, one.forwarding)
    return True


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
class HostCheck:
    """The regular check of `reconcile_host`, which starts six programs: only if something may have changed."""

    host: Host
    _events: KernelEvents = field(init=False)
    _stamp: Stamp | None = None
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._events = KernelEvents(self.host.netns)

    def run(self) -> bool:
        """Reconcile the host if something may have changed; return True if anything differed. Raises AgentError."""
        stamp = stamps.of(f"{self.host.state.directory}/{name}" for name in _FILES)
        is_known = not self._may_have_changed() and stamp is not None and stamp == self._stamp
        if is_known and time.monotonic() < self._until and egress.is_forwarding(self.host.netns):
            return False
        # None: after a failure, the next run checks again.
        self._stamp = None
        changed = reconcile_host(self.host)
        self._stamp, self._until = stamp, time.monotonic() + _UNCHANGED_FOR
        return changed

    def _may_have_changed(self) -> bool:
        try:
            return self._events.may_have_changed()
        except OSError:  # the kernel announces nothing, or the namespace is missing
            return True


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
