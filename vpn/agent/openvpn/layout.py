"""Where the files of a hub's listeners are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.agent.memory.names import COMPAT, UDP
from vpn.agent.openvpn import scripts as openvpn_scripts
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

# A path becomes a word in a configuration and in a script.
_PATH: Final = re.compile(r"/[A-Za-z0-9_./@:+-]+")
_LONGEST_SOCKET: Final = 107  # characters, unix(7)


@dataclass(frozen=True)
class Layout:
    """Where the files of a hub's listeners are."""

    directory: Path

    def checked(self) -> Layout:
        """Return itself when openvpn can use such paths, or raise AgentError."""
        if not _PATH.fullmatch(str(self.directory)) or len(str(self.socket(COMPAT))) > _LONGEST_SOCKET:
            message = "OpenVPN needs a state directory with a short name of letters, digits and simple signs."
            raise AgentError(FAILED, message, codes.OPENVPN_PATH_UNUSABLE.of())
        return self

    def config(self, listener: str) -> Path:
        """The configuration of a listener."""
        return self.directory / f"{listener}.conf"

    @property
    def run(self) -> Path:
        """The directory of what listeners write."""
        return self.directory / openvpn_scripts.RUN

    def socket(self, listener: str) -> Path:
        """The management socket of a listener."""
        return self.run / f"{listener}.sock"

    def pid(self, listener: str) -> Path:
        """Where a listener writes its process id."""
        return self.run / f"{listener}.pid"

    def log(self, listener: str) -> Path:
        """Where a listener writes why it could not start."""
        return self.run / f"{listener}.log"

    def opened(self, listener: str) -> Path:
        """What is there while a listener waits for its interface to be moved."""
        return self.run / f"{listener}.opened"

    @property
    def routes(self) -> Path:
        """The script that sets routes, by which its process is known."""
        return self.directory / "routes"

    @property
    def routes_started(self) -> Path:
        """Which process of it was started, and with which script."""
        return self.directory / "routes.started"

    @property
    def asked(self) -> Path:
        """The pipe by which it is asked."""
        return self.directory / openvpn_scripts.ASKED

    def clients(self, compat: bool) -> Path:
        """The directory of those that may come in."""
        return self.directory / clients_of(COMPAT if compat else UDP)

    @property
    def shown(self) -> Path:
        """The directory of what peers have shown when they connected."""
        return self.directory / openvpn_scripts.SHOWN

    @property
    def push_changed(self) -> Path:
        """Where it stands that not every session has what is pushed now."""
        return self.directory / "push_changed"


def clients_of(listener: str) -> str:
    """Return the name of the directory of those that may come in."""
    return "ccd_compat" if listener == COMPAT else "ccd"
