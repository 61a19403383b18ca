"""The hubs of a server, listed again only when a directory has changed: `watch` asks several times a second."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.memory.state import State
from vpn.agent.system import stamps
from vpn.agent.system.stamps import Stamp

# A removal that was broken off leaves the directory of a hub without its spec, which changes no time that is compared.
_VALID: Final = 5.0  # seconds


@dataclass
class Listing:
    """The last list, with the time until which it is valid (time.monotonic)."""

    state: State
    _hubs: list[str] = field(default_factory=list)
    # The agent's directory, and those in it that hold no hub so far: a spec in one of them changes its time.
    _directories: tuple[str, ...] = ()
    _stamp: Stamp | None = None
    _until: float = 0.0

    def hubs(self) -> list[str]:
        """Return the names of the hubs on this server."""
        if time.monotonic() >= self._until or self._stamp is None or self._stamp != stamps.of(self._directories):
            self._read()
        return self._hubs

    def _read(self) -> None:
        # The times first, so that a change during the reading is noticed next time.
        directories = self._others()
        stamp = stamps.of(directories)
        self._hubs = self.state.hubs()
        unknown = {os.path.basename(each) for each in directories[1:]}.isdisjoint(self._hubs)
        self._directories, self._stamp = directories, stamp if unknown else None
        self._until = time.monotonic() + _VALID

    def _others(self) -> tuple[str, ...]:
        directory, hubs = str(self.state.directory), set(self._hubs)
        try:
            entries = sorted(entry.path for entry in os.scandir(directory) if entry.is_dir() and entry.name not in hubs)
        except FileNotFoundError:
            entries = []
        return directory, *entries
