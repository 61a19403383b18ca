"""Paths of a hub's OpenVPN files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.agent.memory.names import COMPAT, UDP
from vpn.agent.openvpn import scripts as openvpn_scripts
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

# Paths are written unquoted into configurations and scripts.
_PATH: Final = re.compile(r"/[A-Za-z0-9_./@:+-]+")
_LONGEST_SOCKET: Final = 107  # characters, unix(7)


@dataclass(frozen=True)
class Layout:
    """Paths of a hub's OpenVPN files."""

    directory: Path

    def checked(self) -> Layout:
        """Return itself if openvpn can use the paths, else raise AgentError."""
        if not _PATH.fullmatch(str(self.directory)) or len(str(self.socket(COMPAT))) > _LONGEST_SOCKET:
            message = "OpenVPN needs a state directory with a short name of letters, digits and simple signs."
            raise AgentError(FAILED, message, codes.OPENVPN_PATH_UNUSABLE.of())
        return self

    def config(self, listener: str) -> Path:
        """The configuration of a listener."""
        return self.directory / f"{listener}.conf"

    @property
    def run(self) -> Path:
        """The directory that listeners write to."""
        return self.directory / openvpn_scripts.RUN

    def socket(self, listener: str) -> Path:
        """The management socket of a listener."""
        return self.run / f"{listener}.sock"

    def pid(self, listener: str) -> Path:
        """The file with a listener's process id."""
        return self.run / f"{listener}.pid"

    def log(self, listener: str) -> Path:
        """The file with a listener's start errors."""
        return self.run / f"{listener}.log"

    def opened(self, listener: str) -> Path:
        """The file that exists while a listener waits for the agent to move its interface."""
        return self.run / f"{listener}.opened"

    @property
    def routes(self) -> Path:
        """The script that sets routes. Its path in the command line identifies the process."""
        return self.directory / "routes"

    @property
    def routes_started(self) -> Path:
        """The id of the route process and the digest of its script."""
        return self.directory / "routes.started"

    @property
    def route_requests(self) -> Path:
        """The named pipe for requests to the route process."""
        return self.directory / openvpn_scripts.ROUTE_REQUESTS

    def clients(self, compat: bool) -> Path:
        """The client-config-dir: one file for each admitted peer."""
        return self.directory / clients_of(COMPAT if compat else UDP)

    @property
    def shown(self) -> Path:
        """The directory of records about connected peers (see `config`)."""
        return self.directory / openvpn_scripts.SHOWN

    @property
    def push_changed(self) -> Path:
        """The file that exists while some session has outdated pushed options."""
        return self.directory / "push_changed"


def clients_of(listener: str) -> str:
    """Return the name of a listener's client-config-dir."""
    return "ccd_compat" if listener == COMPAT else "ccd"
