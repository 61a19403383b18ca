"""The socket of a running agent, which answers each connection with a session in a process of its own.

The agent first sends a descriptor of that process (pidfd_open(2)), so that the portal can end one that hangs.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from vpn.wire.session import Pipes

_NAME: Final = "agent.sock"
_START_SECONDS: Final = 10.0
_ENDS_WITHIN: Final = 10.0  # seconds after SIGKILL, unless the kernel waits for a disk


def listen(state: Path) -> socket.socket:
    """Return the agent's listening socket in its state directory, instead of one that is left there.

    Only the owner may connect: the caller's umask has to be 077.
    """
    path = state / _NAME
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def send_process(connection: socket.socket) -> None:
    """Send a descriptor of this process."""
    descriptor = os.pidfd_open(os.getpid())
    try:
        socket.send_fds(connection, [b"\n"], [descriptor])
    finally:
        os.close(descriptor)


def _receive_process(connection: socket.socket) -> int:
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if not descriptors:
        raise ConnectionError("the agent began no session")
    return descriptors[0]


def connect(state: Path) -> Pipes:
    """Return a session with the agent that runs on this state directory. Raises OSError if there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_START_SECONDS)
        connection.connect(str(state / _NAME))
        process = _receive_process(connection)
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise

    def end() -> None:
        # Ended at once, like a subprocess: it may hang, and hold the lock of a hub.
        with suppress(OSError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], _ENDS_WITHIN)
        os.close(process)
        connection.close()

    return Pipes(answers=connection.fileno(), requests=connection.fileno(), end=end)
