"""Driver for hubs on servers that are reached over SSH: one agent session per worker and server."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from typing import IO, Final

from django.conf import settings

from vpn import failures
from vpn.drivers.agent import AgentDriver
from vpn.drivers.base import Found, Knock, SshAddress, Unreachable
from vpn.drivers.knocking import knock_from_here
from vpn.drivers.outside import Host, NoPlace, Post
from vpn.drivers.ssh.access import ssh_command
from vpn.drivers.ssh.faults import fault_of
from vpn.drivers.ssh.preparation import PYTHON, STATE
from vpn.wire.finding import Finding
from vpn.wire.session import Pipes, pipes_of

logger = logging.getLogger(__name__)
AGENT: Final = (*PYTHON, f"{STATE}/agent/current.pyz", "session")
_LINES_KEPT: Final = 20
# Once its process has ended, what it printed is read soon.
_READS_WITHIN: Final = 1.0  # seconds


@cache
def _post(netns: str) -> Post:
    """Return the process that knocks on the hubs of all servers over SSH, from this namespace."""
    return Post(Host(netns), outside=False)


class SshDriver(AgentDriver):
    """Reaches the agent of one server."""

    def __init__(self, address: SshAddress) -> None:
        super().__init__()
        self._address = address
        self._printed: deque[str] = deque(maxlen=_LINES_KEPT)
        self._reader: threading.Thread | None = None

    def open_pipes(self) -> Pipes:
        """Connect, and start the agent's session. OpenSSH ends with this process, because its input does."""
        self._printed.clear()
        with ExitStack() as stack:
            argv = stack.enter_context(ssh_command(self._address, AGENT))
            process = subprocess.Popen(  # noqa: S603 - an argument list of our own
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            pipes = pipes_of(process)
            stack.callback(pipes.end)
            self._reader = threading.Thread(target=self._read, args=(process.stderr,), name="ssh messages", daemon=True)
            self._reader.start()
            return Pipes(pipes.answers, pipes.requests, stack.pop_all().close)

    def why_silent(self) -> Finding:
        """The reason that OpenSSH, sudo or Python printed."""
        if self._reader is not None:
            self._reader.join(_READS_WITHIN)
        return fault_of(self._address, "\n".join(self._printed))

    @property
    def standpoint(self) -> object:
        """This worker's machine, for all servers."""
        return _post(settings.HUB_HOST_NETNS or "")

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Test listeners from this worker's machine at the published addresses."""
        try:
            return knock_from_here(_post(settings.HUB_HOST_NETNS or ""), knocks, timeout)
        except (NoPlace, OSError, ValueError) as error:
            raise Unreachable(failures.KNOCK_IMPOSSIBLE.of(type(error).__name__), str(error)) from error

    def close(self) -> None:
        """End the session and the test process; the next call starts others."""
        _post(settings.HUB_HOST_NETNS or "").close_idle(0)
        super().close()

    def close_idle(self, seconds: float) -> None:
        """End the test process if it was not used for so long. The session stays: another takes several round trips."""
        _post(settings.HUB_HOST_NETNS or "").close_idle(seconds)

    def _read(self, messages: IO[bytes]) -> None:
        """Log what the agent and OpenSSH print, and keep the last lines."""
        with messages:
            for line in messages:
                text = line.decode(errors="replace").rstrip()[:500]
                self._printed.append(text)
                logger.warning("%s: %s", self._address.place, text)
