"""One agent at a time changes a host: a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vpn.agent import files
from vpn.agent.errors import FAILED, AgentError

PATIENCE = 25.0  # seconds; a portal's job gives up after 30


@contextmanager
def host_lock(state: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of the state directory `state` (flock(2)).

    Raises AgentError when another agent keeps it for longer than `patience` seconds.
    """
    files.private_directory(state)
    try:
        descriptor = os.open(state / "host.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise files.failure(error) from error
    try:
        _acquire(descriptor, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> None:
    pause = 0.0005
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise AgentError(FAILED, "Another agent is busy on this server: trying again later helps.") from None
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
