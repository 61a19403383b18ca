"""What `watch` has to do for a hub by itself, read again only when the hub's files were replaced."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from vpn.agent.lifecycle import protocol_switch
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.deadlines import Deadline
from vpn.agent.system import stamps
from vpn.agent.system.stamps import Stamp


@dataclass(frozen=True)
class _Due:
    """The next expiry of a peer, whether peers switch protocol, and the deadline of a trial."""

    expiry: int | None
    is_switching: bool
    deadline: Deadline | None


@dataclass
class Pending:
    """What is due by hub, with the stamp of its directory."""

    host: Host
    _known: dict[str, tuple[Stamp, _Due]] = field(default_factory=dict)

    def expires(self, hub: str) -> bool:
        """Return True if a peer has expired."""
        expiry = self._of(hub).expiry
        return expiry is not None and expiry <= time.time()

    def switches(self, hub: str) -> bool:
        """Return True if the former connection of a peer is still open."""
        return self._of(hub).is_switching

    def returns(self, hub: str) -> bool:
        """Return True if a trial is over, and the hub has to return to its former settings."""
        deadline = self._of(hub).deadline
        return deadline is not None and deadline.is_due

    def _of(self, hub: str) -> _Due:
        stamp = stamps.of((f"{self.host.state.directory}/{hub}",))
        known = self._known.get(hub)
        if known is not None and stamp is not None and stamp == known[0]:
            return known[1]
        state = self.host.state
        due = _Due(state.due(hub), bool(protocol_switch.waiting(state, hub)), state.deadlines(hub).load())
        self._known.pop(hub, None)
        if stamp is not None:
            self._known[hub] = stamp, due
        return due
