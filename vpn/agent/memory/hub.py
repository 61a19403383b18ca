"""One hub of this server, as its components are given it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vpn.agent.memory.names import Names
from vpn.agent.memory.state import State


@dataclass(frozen=True)
class Hub:
    """A hub's names, its files, and the marks of what was loaded into its firewall."""

    names: Names
    state: State

    @property
    def openvpn(self) -> Path:
        """Where the files of its OpenVPN are."""
        return self.state.openvpn(self.names.hub)

    @property
    def dns(self) -> Path:
        """Where the files of its resolver are."""
        return self.state.dns(self.names.hub)

    @cached_property
    def marks(self) -> dict[str, str]:
        """What components remember of what they loaded, by name; see `save_marks`."""
        return self.state.marks(self.names.hub)

    def save_marks(self) -> None:
        """Write the marks down where they differ from those that are written."""
        if self.marks != self.state.marks(self.names.hub):
            self.state.save_marks(self.names.hub, self.marks)
