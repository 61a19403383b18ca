"""One hub of this server: the object that components get."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vpn.agent.memory.names import Names
from vpn.agent.memory.state import State


@dataclass(frozen=True)
class Hub:
    """A hub's names, its files, and the fingerprints of its loaded nftables tables.

    `is_new` if its namespace was just created: then there is nothing in it to compare with.
    """

    names: Names
    state: State
    is_new: bool = False

    @property
    def openvpn(self) -> Path:
        """The directory of its OpenVPN files."""
        return self.state.openvpn(self.names.hub)

    @property
    def dns(self) -> Path:
        """The directory of its resolver's files."""
        return self.state.dns(self.names.hub)

    def lacks_table(self, name: str) -> bool:
        """Return True if its namespace is new and the nftables table `name` was not loaded into it yet."""
        return self.is_new and name not in self.fingerprints

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of what components loaded, by name; see `save_fingerprints`."""
        return self.state.fingerprints(self.names.hub)

    def save_fingerprints(self) -> None:
        """Save the fingerprints if they have changed."""
        if self.fingerprints != self.state.fingerprints(self.names.hub):
            self.state.save_fingerprints(self.names.hub, self.fingerprints)
