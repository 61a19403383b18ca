"""Daemons that outlive the agent: find them by their command line, stop them, wait for their end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.agent.system import confine
from vpn.agent.system.command import NAMESPACES
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

# On SIGTERM, openvpn over UDP notifies its clients at once, and then only waits for two more seconds.
_EXITS: Final = ((signal.SIGTERM, 0.3), (signal.SIGKILL, 3.0))  # signals, each with seconds to wait
_STARTS: Final = 3.0  # seconds
_DELETED: Final = " (deleted)"
_MOST_READ: Final = 64 * 1024  # bytes


@dataclass(frozen=True)
class Process:
    """A running program and its arguments, which include its configuration."""

    pid: int
    config: str
    argv: tuple[str, ...]

    def after(self, word: str) -> str:
        """Return the argument after `word`, or "" if there is none."""
        return self.argv[self.argv.index(word) + 1] if word in self.argv[:-1] else ""


def process(pid: int, program: str, configs: Collection[str | Path]) -> Process | None:
    """Return the process `pid` if it is a `program` with one of `configs` as argument."""
    line = _read(f"/proc/{pid}/cmdline")
    if line.partition(b"\0")[0].rpartition(b"/")[2] != program.encode():
        return None
    argv = line.decode(errors="replace").split("\0")
    config = next((text for text in map(str, configs) if text in argv), None)
    return None if config is None else Process(pid, config, tuple(argv))


def running(program: str, configs: Collection[str | Path]) -> list[Process]:
    """Return all processes of `program` with one of `configs` as argument."""
    return [found for found in (process(pid, program, configs) for pid in _pids()) if found is not None]


def stop(program: str, configs: Collection[str | Path]) -> bool:
    """Stop all processes with one of `configs`, wait until they are gone, and return True if there were any."""
    there = running(program, configs)
    end(program, there)
    return bool(there)


def end(program: str, there: Collection[Process]) -> None:
    """Stop processes of a program and wait until they are gone."""
    left = list(there)
    for number, patience in _EXITS:
        for each in left:
            _signal(each.pid, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            left = [each for each in left if not _is_gone(each.pid)]
            time.sleep(0.005)
    if left:
        message = f"A process of {program} does not end: the server may need a restart."
        raise AgentError(FAILED, message, codes.SERVER_PROCESS_LEFT.of(program))


def end_users(users: Collection[int]) -> bool:
    """Kill every process of these users, whatever its command line, and return True if there were any.

    Processes that a compromised daemon started cannot be found by a program name or a file.
    """
    there = found = _of_users(users)
    deadline = time.monotonic() + _EXITS[-1][1]
    while there:
        if time.monotonic() > deadline:
            message = "A process of a hub's user does not end: the server may need a restart."
            raise AgentError(FAILED, message, codes.SERVER_USER_PROCESS_LEFT.of(there[0]))
        for pid in there:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.005)
        there = _of_users(users)
    return bool(found)


def users() -> set[int]:
    """Return the ids of all users with a running process."""
    return {user for pid in _pids() for user in _users_of(pid)}


def first(program: str, config: str | Path) -> int | None:
    """Return the id of the process of `program` with `config`, which just started; its child processes do not count."""
    # The newest first: a server may have thousands of processes.
    for pid in sorted(_pids(), reverse=True):
        if process(pid, program, {config}) and not process(parent(pid), program, {config}):
            return pid
    return None


def await_first(program: str, config: str | Path) -> int | None:
    """Wait up to `_STARTS` seconds for a process and return its id like `first`; None if there is none."""
    deadline = time.monotonic() + _STARTS
    while (found := first(program, config)) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


def is_inside(pid: int, netns: str) -> bool:
    """Return True if a process runs in the network namespace that has this name now; False if it has ended."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), os.stat(f"{NAMESPACES}/{netns}"))
    except OSError:
        return False


def programs(pid: int) -> set[str]:
    """Return the paths of the program and the libraries that a process runs, as the server has them."""
    paths = {path.removeprefix(confine.JAIL) for path, _ in _mapped(pid)}
    return {path for path in paths if path.startswith("/") and not path.endswith(_DELETED)}


def replaced(pid: int) -> frozenset[str]:
    """Return the program and libraries of a process that were replaced on the disk, for example by an upgrade.

    Each entry includes the inode. Files that the process only reads do not count. See proc(5), `maps`.
    """
    return frozenset(f"{inode} {path}" for path, inode in _mapped(pid) if path.endswith(_DELETED))


def _mapped(pid: int) -> set[tuple[str, str]]:
    """Return the files that a process runs code from, with their inodes."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return set()
    fields = (each for line in lines if len(each := line.split(maxsplit=5)) == 6)
    return {(path, inode) for _, rights, _, _, inode, path in fields if "x" in rights}


def parent(pid: int) -> int:
    """Return the id of a process's parent; 0 if the process has ended."""
    return int(fields[1]) if (fields := _stat(pid)) else 0


def _read(path: str) -> bytes:
    """Return the first 64 KiB of a file of a process; empty if the process has ended."""
    # A server may have thousands of processes: this is four times as fast as Path.read_bytes.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _MOST_READ)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _of_users(users: Collection[int]) -> list[int]:
    return [pid for pid in _pids() if not _users_of(pid).isdisjoint(users)]


def _users_of(pid: int) -> set[int]:
    """Return the real, effective, saved and file system user of a process; empty if it has ended.

    The owner of its directory in /proc is not reliable: it is root for a process that is not dumpable (proc(5)).
    """
    status = _read(f"/proc/{pid}/status")
    state, _, rest = status.partition(b"\nState:")[2].partition(b"\nUid:")
    is_over = state.split()[:1] in ([b"Z"], [b"X"])
    return set() if is_over else {int(user) for user in rest.partition(b"\n")[0].split()}


def _is_gone(pid: int) -> bool:
    # An exiting process loses its command line before its sockets. It is gone once it is a zombie.
    fields = _stat(pid)
    return not fields or fields[0] in (b"Z", b"X")


def _stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat after the name: state, parent and so on (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return []


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
