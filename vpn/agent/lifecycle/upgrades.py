"""Restart daemons whose program or library was replaced, for example by a package upgrade.

A daemon that runs with more rights than it should, started by an older agent, is restarted too. Only one daemon on the
whole server restarts at a time, and the next only if it works: a broken package must not end all tunnels.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.lifecycle.daemons import Daemon, DaemonFiles, daemons
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.restore import restore
from vpn.agent.system import processes, stamps
from vpn.agent.system.lock import BusyError, hub_lock
from vpn.agent.system.stamps import Stamp
from vpn.wire.errors import AgentError

_PAUSE: Final = 600.0  # seconds without another restart after one failed
_BRIEFLY: Final = 0.05  # seconds to wait for a hub that is being changed
_SOUND_FOR: Final = 60.0  # seconds without a check of daemons that did not change, while no program was replaced


@dataclass
class Upgrades:
    """State between two runs."""

    host: Host
    hubs: Callable[[], list[str]]
    # The reasons for which a daemon was restarted. If they persist, it is not restarted for them again.
    _tried: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    _paused_until: float = 0.0
    _files: DaemonFiles = field(init=False)
    # The programs and libraries of all daemons, and how they were when the hubs in `_sound` were checked. By hub, these
    # are the stamp of its daemons, and the end (time.monotonic) of its soundness.
    _programs: set[str] = field(default_factory=set)
    _programs_stamp: Stamp | None = None
    _sound: dict[str, tuple[Stamp, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files = DaemonFiles(self.host)

    def run(self) -> Daemon | None:
        """Restart the first daemon that needs it and return it; None if there is none. Raises AgentError."""
        if time.monotonic() < self._paused_until:
            return None
        known, stamp = set(filter(os.path.exists, self._programs)), stamps.of(sorted(self._programs))
        if stamp is None or stamp != self._programs_stamp:
            self._programs_stamp = stamp
            self._sound.clear()
        for hub in self.hubs():
            if daemon := self._check(hub, known):
                return daemon
        return None

    def _check(self, hub: str, known: Collection[str]) -> Daemon | None:
        """Restart the hub's first daemon that needs it and return it; `known` are the programs before this run."""
        stamp = self._files.stamp(hub)
        before, until = self._sound.get(hub, (None, 0.0))
        if stamp is not None and stamp == before and time.monotonic() < until:
            return None
        there = list(daemons(self.host, hub))
        programs = {path for daemon in there for path in processes.programs(daemon.process.pid)}
        self._programs |= programs
        faulty = {daemon: faults for daemon in there if (faults := daemon.faults)}
        for daemon, faults in faulty.items():
            if self._tried.get((hub, daemon.name)) != faults:
                with suppress(BusyError), hub_lock(self.host.state.directory, hub, _BRIEFLY):
                    self._tried[hub, daemon.name] = faults
                    return self._restart(daemon)
        # A program that was not known before this run may have been replaced during it.
        if stamp is not None and not faulty and all(program in known for program in programs):
            self._sound[hub] = stamp, time.monotonic() + _SOUND_FOR
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
