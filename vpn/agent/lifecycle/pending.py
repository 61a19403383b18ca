"""What `watch` has to do for a hub by itself, read again only when the hub's files were replaced."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from vpn.agent.lifecycle import protocol_switch
from vpn.agent.lifecycle.host import Host
from vpn.agent.system import stamps
from vpn.agent.system.stamps import Stamp


@dataclass
class Pending:
    """By hub: the stamp of its directory, the next expiry of a peer, and whether peers switch protocol."""

    host: Host
    _known: dict[str, tuple[Stamp, int | None, bool]] = field(default_factory=dict)

    def expires(self, hub: str) -> bool:
        """Return True if a peer has expired."""
        due, _ = self._of(hub)
        return due is not None and due <= time.time()

    def switches(self, hub: str) -> bool:
        """Return True if the former connection of a peer is still open."""
        return self._of(hub)[1]

    def _of(self, hub: str) -> tuple[int | None, bool]:
        stamp = stamps.of((f"{self.host.state.directory}/{hub}",))
        before, due, is_switching = self._known.get(hub, (None, None, False))
        if stamp is not None and stamp == before:
            return due, is_switching
        due, is_switching = self.host.state.due(hub), bool(protocol_switch.waiting(self.host.state, hub))
        self._known.pop(hub, None)
        if stamp is not None:
            self._known[hub] = stamp, due, is_switching
        return due, is_switching
