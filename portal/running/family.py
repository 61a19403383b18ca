"""A family: processes forked from one parent that has loaded the application, so that they share its memory.

The parent does nothing else. It starts a child again that ends, and ends all of them with itself. It has the rights of
all of them, so a child first drops those that it does not need. Some children run only on demand: from when another one
rings for them, until they end by themselves.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

NAME_PREFIX: Final = "vpn-"
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_PR_SET_NAME: Final = 15
_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A child that lived for less has failed. After each failure in a row, the next start waits a second longer.
_STARTED_AFTER: Final = 3.0
_LONGEST_PAUSE: Final = 60.0

logger = logging.getLogger(__name__)
# In a child: its parent, and by the name of each sibling on demand the signal that starts it.
_rings: dict[str, tuple[int, int]] = {}


@dataclass
class _Member:
    name: str
    run: Callable[[], object]
    begin: Callable[[], object] | None = None
    # The signal that starts it; 0 for one that always runs.
    ring: int = 0
    is_wanted: bool = True
    pid: int = 0
    started_at: float = 0.0
    failures: int = 0

    @property
    def due_at(self) -> float:
        """When it may be started again."""
        return self.started_at + min(self.failures, _LONGEST_PAUSE) if self.failures else 0.0


def run_family(
    members: Mapping[str, Callable[[], object]],
    beginnings: Mapping[str, Callable[[], object]] | None = None,
    on_demand: Sequence[str] = (),
) -> None:
    """Fork a child for each name, which runs its function; return once a signal has ended all of them.

    A child that has one of the `beginnings` first calls that, to drop rights. Those `on_demand` wait for `ring`.
    The caller must have no other thread and no open connection: children would get copies of them.
    """
    if threading.active_count() > 1:
        raise RuntimeError("A process with several threads must not fork")
    signals = {name: signal.SIGRTMIN + number for number, name in enumerate(on_demand)}
    awaited = {*_ENDING, signal.SIGCHLD, *signals.values()}
    # Blocked signals wait until they are asked for, so none arrives between two statements.
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    family = [
        _Member(name, run, (beginnings or {}).get(name), signals.get(name, 0), name not in signals)
        for name, run in members.items()
    ]
    own = os.pidfd_open(os.getpid())
    _rings.update({name: (own, number) for name, number in signals.items()})
    while True:
        for member in family:
            if not member.pid and member.is_wanted and time.monotonic() >= member.due_at:
                _start(member)
        received = signal.sigtimedwait(awaited, _patience(family))
        if received is not None and received.si_signo in _ENDING:
            break
        for member in family:
            # One that runs may just be ending: it is started once more.
            member.is_wanted |= received is not None and received.si_signo == member.ring
        _reap(family)
    _end(family)


def ring(name: str) -> None:
    """From a child with the parent's rights: have a sibling started that runs on demand, unless it runs."""
    parent, number = _rings[name]
    with suppress(ProcessLookupError):  # the parent has ended, and this child is about to
        signal.pidfd_send_signal(parent, number)


def is_on_demand(name: str) -> bool:
    """Return True if this process is in a family that starts the sibling of this name on demand."""
    return name in _rings


def _patience(family: list[_Member]) -> float:
    """Seconds until the next child is due; otherwise only a signal matters."""
    waiting = [member.due_at for member in family if not member.pid and member.is_wanted]
    return max(0.0, min(waiting) - time.monotonic()) if waiting else _LONGEST_PAUSE


def _start(member: _Member) -> None:
    parent = os.getpid()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # the child would write it once more
    member.started_at = time.monotonic()
    member.is_wanted = not member.ring
    member.pid = os.fork()
    if not member.pid:
        _be(member, parent)


def _be(member: _Member, parent: int) -> None:
    """Be the child; never returns."""
    code = 1
    try:
        if member.begin is not None:
            member.begin()
        libc = ctypes.CDLL(None, use_errno=True)
        # A change of the account would clear the first.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, f"{NAME_PREFIX}{member.name}".encode(), 0, 0, 0)
        for number in (*_ENDING, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if os.getppid() == parent:
            member.run()
            code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:  # noqa: BLE001 - nothing may return to the parent's code
        traceback.print_exc()
    finally:
        # Without the parent's handlers for the end of the interpreter.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap(family: list[_Member]) -> None:
    """Note which children have ended."""
    for member in family:
        if not member.pid:
            continue
        pid, status = os.waitpid(member.pid, os.WNOHANG)
        if pid:
            lived = time.monotonic() - member.started_at
            member.failures = member.failures + 1 if lived < _STARTED_AFTER else 0
            member.pid = 0
            code = os.waitstatus_to_exitcode(status)
            # One that has grown ends by itself, as does one on demand.
            level = logging.WARNING if code else logging.INFO
            logger.log(level, "The process %s ended (%d)", member.name, code)


def _end(family: list[_Member]) -> None:
    """Tell all children to end, and wait until they have. The supervisor kills those that take too long."""
    running = [member for member in family if member.pid]
    for member in running:
        os.kill(member.pid, signal.SIGTERM)
    for member in running:
        os.waitpid(member.pid, 0)
