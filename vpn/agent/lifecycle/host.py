"""The host of the hubs."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.dns.upstreams import Upstreams
from vpn.agent.lifecycle.budget import Budget
from vpn.agent.lifecycle.changes import LastReport
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import Names
from vpn.agent.memory.state import State
from vpn.agent.system import users
from vpn.agent.system.command import Netns

# All drift comparisons of an agent together use at most this share of one CPU.
DRIFT_SHARE: Final = 0.02


@dataclass(frozen=True)
class Host:
    """The host of the hubs: its network namespace, and the agent's saved state."""

    netns: Netns
    state: State
    # By hub, the earliest time (time.monotonic) of the next drift comparison.
    drift_due: dict[str, float] = field(default_factory=dict)
    # The time for all comparisons: when an agent starts, all hubs are due at once.
    drift_budget: Budget = field(default_factory=lambda: Budget(share=DRIFT_SHARE, most=0.5))
    upstreams: Upstreams = field(default_factory=Upstreams)
    # By hub, the last report in answer to `observe`.
    last_reports: dict[str, LastReport] = field(default_factory=dict)

    def names(self, hub: str) -> Names:
        """Return the names of a hub's parts on this host."""
        return Names(hub, self.netns, functools.partial(users.first, self.state.directory))

    def hub(self, name: str) -> Hub:
        """Return the object that components get for a hub."""
        return Hub(self.names(name), self.state)
