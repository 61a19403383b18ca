"""Keeps `watch` running on a server without systemd: a process with a lock, which starts it again if it ends."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from vpn.agent.lifecycle.host import Host
from vpn.agent.system import command, files
from vpn.agent.watch import watch
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError
from vpn.wire.version import agent_version

_LOCK: Final = "supervisor.lock"
# Exists where `watch` runs under a supervisor of ours.
_MARK: Final = "supervisor.json"
_LOG: Final = "watch.log"
_LARGEST_LOG: Final = 5_000_000
_PAUSE: Final = 1.0  # seconds before the watch is started again
_ENDS_WITHIN: Final = 10.0
_STARTS_WITHIN: Final = 10.0
_POLL: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1


def supervise(host: Host) -> None:
    """Keep a watch running until SIGTERM. Returns at once if another supervisor does."""
    state = host.state.directory
    descriptor = _lock(state)
    if descriptor is None:
        return
    _log_to(state / _LOG)
    files.replace(state / _MARK, f'{{"pid": {os.getpid()}, "version": "{agent_version()}"}}', durable=False)
    children: list[int] = []

    def end(_signal: int, _frame: FrameType | None) -> None:
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        children.append(0)  # Marks the end.

    while 0 not in children:
        children[:] = [_forked(host)]
        signal.signal(signal.SIGTERM, end)
        with suppress(ChildProcessError):
            os.waitpid(children[0], 0)
        if 0 not in children:
            print("watch ended; starting it again", file=sys.stderr, flush=True)
            time.sleep(_PAUSE)
    os.close(descriptor)


def _forked(host: Host) -> int:
    """Start a watch that ends with this process, and return its process id."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child:
        return child
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        watch(host)
    finally:
        os._exit(0)


def ensure_supervisor(state: Path, program: Path) -> None:
    """Let a supervisor of this version run `program`; one of another version ends. Hubs are not touched."""
    if is_running(state) and _mark(state).get("version") == agent_version():
        return
    _end(state)
    _start(state, program)


def revive(state: Path, program: Path) -> None:
    """Start the supervisor again if it should run and does not, for example after a restart of the server."""
    if _mark(state) and not is_running(state):
        with suppress(AgentError):
            _start(state, program)


def is_running(state: Path) -> bool:
    """Return True if a supervisor holds the lock."""
    descriptor = _try_lock(state)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _start(state: Path, program: Path) -> None:
    argv = ["setsid", "--fork", sys.executable, "-I", str(program), "--state", str(state), "supervise"]
    command.ROOT.start_daemon(argv)
    # A session of another version may have revived its own meanwhile.
    if not _waited(lambda: is_running(state) and _mark(state).get("version") == agent_version(), _STARTS_WITHIN):
        raise AgentError(FAILED, "The watch did not start.", codes.SERVER_WATCH_NOT_STARTED.of())


def _end(state: Path) -> None:
    pid = _mark(state).get("pid")
    if not is_running(state) or not isinstance(pid, int) or pid < 2:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _waited(lambda: not is_running(state), _ENDS_WITHIN):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _waited(lambda: not is_running(state), _ENDS_WITHIN)


def _waited(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _mark(state: Path) -> dict[str, object]:
    document = files.read_json(state / _MARK)
    return document if isinstance(document, dict) else {}


def _lock(state: Path) -> int | None:
    """Take the lock; None if another supervisor has it. A look whether one runs takes it for a moment."""
    deadline = time.monotonic() + _PAUSE
    while (descriptor := _try_lock(state)) is None and time.monotonic() < deadline:
        time.sleep(_POLL)
    return descriptor


def _try_lock(state: Path) -> int | None:
    descriptor = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _log_to(path: Path) -> None:
    """Send the output of this process to a file, which begins anew when it has grown large."""
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)
