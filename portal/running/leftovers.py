"""Processes of an earlier run: found by the mark in their environment, and ended.

The supervisor and all that it starts carry the mark, which names the data directory. The daemons of hubs do not carry
it, since the agent starts programs with an environment of its own: they go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "VPN_PORTAL_RUN"
# A process that waits for a dead disk outlives SIGKILL: it must not hold up the next start.
_DIES_WITHIN = 5.0


def end_leftovers(mark: str, *, patience: float) -> int:
    """Send SIGTERM to all that carry the mark, and SIGKILL after `patience` seconds; return how many there were."""
    left = find_leftovers(mark)
    number = len(left)
    _signal(left, mark, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = find_leftovers(mark)
    deadline = time.monotonic() + _DIES_WITHIN
    while left and time.monotonic() < deadline:
        _signal(left, mark, signal.SIGKILL)
        time.sleep(0.05)
        left = find_leftovers(mark)
    return number


def find_leftovers(mark: str) -> list[int]:
    """The process ids of all that carry the mark, without this process."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if pid != os.getpid() and _carries(pid, mark)]


def _carries(pid: int, mark: str) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={mark}".encode() in environ.split(b"\0")


def _signal(pids: list[int], mark: str, number: signal.Signals) -> None:
    for pid in pids:
        # The descriptor is opened first: a process that takes over the number afterwards never gets the signal.
        with contextlib.suppress(ProcessLookupError), _descriptor(pid) as descriptor:
            if _carries(pid, mark):
                signal.pidfd_send_signal(descriptor, number)


@contextlib.contextmanager
def _descriptor(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
