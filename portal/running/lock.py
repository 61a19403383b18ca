"""One `make up` per data directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from portal.running.errors import CannotRunError

_POLL_SECONDS = 0.1


class RunLock:
    """A lock that `make up` holds while it runs. The kernel releases it when the process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, *, patience: float = 2.0) -> None:
        """Take the lock, or raise CannotRunError with the process that has it.

        It waits for a run that has announced its end by `stopping`, and briefly for one that was just told to end.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience
        extended = False
        while not _try(handle):
            if not extended and self._read(handle)[1] == "stopping":
                deadline, extended = time.monotonic() + 15, True
            if time.monotonic() > deadline:
                pid = self._read(handle)[0]
                os.close(handle)
                raise CannotRunError(
                    f"The portal already runs from here (process {pid}). Stop it with Ctrl-C there, or with "
                    "`make down`, which also removes its hubs."
                )
            time.sleep(_POLL_SECONDS)
        self._handle = handle
        self._write("running")

    def stopping(self) -> None:
        """Announce to a waiting `make up` that this run is about to end."""
        self._write("stopping")

    def release(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def holder(self) -> int | None:
        """The process that holds the lock, or None."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return None if _try(handle) else int(self._read(handle)[0])
        finally:
            os.close(handle)

    def _write(self, state: str) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()} {state}\n".encode(), 0)

    @staticmethod
    def _read(handle: int) -> tuple[str, str]:
        pid, _, state = os.pread(handle, 100, 0).decode().strip().partition(" ")
        return pid or "0", state


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
