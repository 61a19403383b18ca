"""File locks: for each hub, for its early removals, and for what all hubs of a host share. They end with their process.

Work on one hub holds that hub's lock for its whole duration, so hubs do not wait for each other. Shared parts (the
host's tables and settings, its links, shared files) are changed under the host's lock, which is held briefly. A process
that needs both takes the hub's lock first. The other order could deadlock, and is refused.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vpn.agent.system import files
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

PATIENCE = 25.0  # seconds; a portal's job gives up after 30


@dataclass
class _Held(threading.local):
    """The locks of one thread, which it may take again. Another thread of the process waits for them."""

    paths: set[Path] = field(default_factory=set)


_held: Final = _Held()


class BusyError(AgentError):
    """Another agent holds the lock."""

    def __init__(self) -> None:
        message = "Another agent is changing this server: try again later."
        super().__init__(FAILED, message, codes.SERVER_BUSY.of())


@contextmanager
def hub_lock(state: Path, hub: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of one hub in the state directory `state` (flock(2)).

    Raises BusyError, an AgentError, if another agent holds it for longer than `patience` seconds.
    """
    if _host(state) in _held.paths:
        raise RuntimeError("a hub's lock is taken before the host's")
    with _lock(state / "locks" / f"{hub}.lock", patience):
        yield


@contextmanager
def host_lock(state: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock for what hubs share; raises like `hub_lock`."""
    with _lock(_host(state), patience):
        yield


@contextmanager
def removals_lock(state: Path, hub: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock for a hub's early removals, for a moment; no other lock is taken meanwhile."""
    with _lock(state / "locks" / f"{hub}.removals.lock", patience):
        yield


@contextmanager
def leases_lock(state: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock for the file of leases, for a moment; no other lock is taken meanwhile."""
    with _lock(state / "leases.lock", patience):
        yield


def _host(state: Path) -> Path:
    return state / "host.lock"


@contextmanager
def _lock(path: Path, patience: float) -> Iterator[None]:
    if path in _held.paths:
        yield
        return
    files.private_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise files.failure(error) from error
    try:
        _acquire(descriptor, time.monotonic() + patience)
        _held.paths.add(path)
        yield
    finally:
        _held.paths.discard(path)
        os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> None:
    pause = 0.0005
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BusyError from None
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
