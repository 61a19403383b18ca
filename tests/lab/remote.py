"""An agent on a server of the laboratory, prepared and reached over SSH as a worker does."""

from __future__ import annotations

from typing import Final

from tests.lab.hub import Agent
from tests.lab.lab import Lab
from tests.lab.server import LabServer
from tests.lab.waiting import wait_until
from vpn.drivers.base import SshAddress
from vpn.drivers.ssh import preparation
from vpn.drivers.ssh.driver import SshDriver
from vpn.keys import generate_ssh_key
from vpn.wire import preparing
from vpn.wire.preparing import Line
from vpn.wire.session import Pipes

PREPARED_WITHIN: Final = 400.0


class RemoteAgent(Agent):
    """The agent's session over SSH."""

    def __init__(self, lab: Lab, address: SshAddress) -> None:
        super().__init__(lab)
        self.driver = SshDriver(address)

    def _start(self) -> Pipes:
        return self.driver.open_pipes()


def authorised(server: LabServer) -> SshAddress:
    """Let a new key of the portal's into the server's account root; return how it is reached."""
    private, public = generate_ssh_key()
    server.authorise(f"restrict {public} vpn-portal")
    host_key = " ".join(server.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout.split()[:2])
    return SshAddress("root", server.node.v4, 22, host_key, private)


def prepared(address: SshAddress) -> list[Line]:
    """Prepare a server; return the lines of all steps."""
    lines: list[Line] = []

    def look() -> bool:
        lines[:] = preparation.look(address, "for-real")
        return lines[-1].state != preparing.RUNNING

    wait_until(look, PREPARED_WITHIN, "the end of the preparation")
    return lines
