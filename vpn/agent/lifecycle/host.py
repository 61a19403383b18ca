"""Where hubs live."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from vpn.agent.dns.upstreams import Upstreams
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import Names
from vpn.agent.memory.state import State
from vpn.agent.system import users
from vpn.agent.system.command import Place


@dataclass(frozen=True)
class Host:
    """Where hubs live: the namespace that is the host, and the agent's memory."""

    place: Place
    state: State
    # By hub, from when on (time.monotonic) drift may be looked for again.
    looks: dict[str, float] = field(default_factory=dict)
    upstreams: Upstreams = field(default_factory=Upstreams)

    def names(self, hub: str) -> Names:
        """Return the names of a hub's parts here."""
        return Names(hub, self.place, functools.partial(users.first, self.state.directory))

    def hub(self, name: str) -> Hub:
        """Return a hub as its components are given it."""
        return Hub(self.names(name), self.state)
