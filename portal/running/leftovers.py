"""Processes of an earlier run: found by the mark in their environment, and ended.

The supervisor and all that it starts carry the mark, which names the data directory. The daemons of hubs do not carry
it, since the agent starts programs with an environment of its own: they go on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

MARK = "VPN_PORTAL_RUN"
# A process that waits for a dead disk outlives SIGKILL: it must not hold up the next start.
_DIES_WITHIN = 5.0


def end_leftovers(mark: str, *, patience: float) -> int:
    """Send SIGTERM to all that carry the mark, and SIGKILL after `patience` seconds; return how many there were."""
    number = _end(mark, signal.SIGTERM, patience)
    deadline = time.monotonic() + _DIES_WITHIN
    # Again, for those that one of them started meanwhile.
    while _end(mark, signal.SIGKILL, _DIES_WITHIN) and time.monotonic() < deadline:
        pass
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


def _end(mark: str, number: signal.Signals, seconds: float) -> int:
    """Send the signal to all that carry the mark, and wait until they have ended; return how many there were."""
    with contextlib.ExitStack() as opened:
        left: list[int] = []
        for pid in find_leftovers(mark):
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                opened.callback(os.close, descriptor)
                # The descriptor was opened first: a process that takes over the number never gets the signal.
                if _carries(pid, mark):
                    signal.pidfd_send_signal(descriptor, number)
                    left.append(descriptor)
        signalled = len(left)
        deadline = time.monotonic() + seconds
        while left and (rest := deadline - time.monotonic()) > 0:
            ended, _, _ = select.select(left, [], [], rest)
            left = [descriptor for descriptor in left if descriptor not in ended]
        return signalled
