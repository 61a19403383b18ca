"""Memory limits of hubs' daemons with control groups (cgroup v2).

    <mount>/vpn-hubs/           all hubs: three quarters of the host's memory
    <mount>/vpn-hubs/<hub>/     one hub's daemons

A group also counts what a process's own limit does not: socket buffers in the kernel, child processes, and all daemons
together. Above the limit, the kernel kills the largest process of the group. If the host has no usable cgroup v2, only
the daemons' rlimits apply. See Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mounts")
_NAME: Final = "vpn-hubs"
_CONTROLLERS: Final = ("memory", "pids")
_SHARE: Final = 0.75
_MOST_PROCESSES: Final = 512  # of one hub: openvpn runs one script at a time


def limit(hub: str, pids: Iterable[int], memory: int) -> bool:
    """Limit a hub's daemons together to `memory` bytes; return False if the host has no usable groups.

    Values that are set already are not written again. Processes that have ended are skipped.
    """
    top = _top()
    if top is None:
        return False
    try:
        group = top / hub
        for path, limits in (
            (top, {"memory.max": _of_all()}),
            (group, {"memory.max": memory, "pids.max": _MOST_PROCESSES}),
        ):
            _delegate(path.parent)
            path.mkdir(exist_ok=True)
            _limit(path, limits)
        held = {int(line) for line in (group / "cgroup.procs").read_text().split()}
    except OSError:
        return False
    moved = [_move(group, pid) for pid in pids if pid not in held]
    return all(moved)


def remove(hub: str) -> None:
    """Remove a hub's group if no process is left in it."""
    top = _top()
    if top is None:
        return
    for path in (top / hub, top):
        try:
            path.rmdir()
        except OSError:
            return


def _top() -> Path | None:
    """Return the path of the group of all hubs, which may not exist; None if the host has no usable cgroup v2."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
        mount = next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
        if mount is None or not set(_CONTROLLERS) <= set((mount / "cgroup.controllers").read_text().split()):
            return None
    except OSError:
        return None
    return mount / _NAME


def _delegate(path: Path) -> None:
    """Enable the controllers for groups below `path`. The kernel refuses this if `path` itself contains processes."""
    control = path / "cgroup.subtree_control"
    missing = [name for name in _CONTROLLERS if name not in control.read_text().split()]
    if missing:
        control.write_text(" ".join(f"+{name}" for name in missing))


def _limit(path: Path, limits: Mapping[str, int]) -> None:
    for name, most in limits.items():
        if (path / name).read_text().strip() != str(most):
            (path / name).write_text(str(most))


def _move(group: Path, pid: int) -> bool:
    try:
        (group / "cgroup.procs").write_text(str(pid))
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return True


def _of_all() -> int:
    """Return the limit of all hubs in bytes, rounded to pages like the kernel does."""
    return int(os.sysconf("SC_PHYS_PAGES") * _SHARE) * os.sysconf("SC_PAGE_SIZE")
