"""What daemons of hubs may have of the host's memory, where the kernel counts it by groups of processes (cgroup v2).

    <mount>/vpn-hubs/           all hubs: three quarters of the host's memory
    <mount>/vpn-hubs/<hub>/     one hub's daemons

A group counts what a process's own limits leave out: what the kernel holds for its sockets, its children, and all
daemons together. Beyond it the kernel ends the largest process of the group. Without such groups the daemons' rlimits
hold alone: version 1, a container that may not make groups, or a controller that is not there. See
Documentation/admin-guide/cgroup-v2.rst.
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
_MOST_PROCESSES: Final = 512  # of one hub: openvpn runs a script at a time


def hold(hub: str, pids: Iterable[int], memory: int) -> bool:
    """Have a hub's daemons share `memory` bytes at most; return whether this host has groups for that.

    What is so already is not written again. Processes that are gone are passed over.
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


def release(hub: str) -> None:
    """Remove a hub's group, when nothing runs in it any more."""
    top = _top()
    if top is None:
        return
    for path in (top / hub, top):
        try:
            path.rmdir()
        except OSError:
            return


def _top() -> Path | None:
    """Return the group of all hubs, there or not; None where the host has no version 2 with what it takes."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
        mount = next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
        if mount is None or not set(_CONTROLLERS) <= set((mount / "cgroup.controllers").read_text().split()):
            return None
    except OSError:
        return None
    return mount / _NAME


def _delegate(path: Path) -> None:
    """Have groups below `path` be counted. Refused where processes run in it, but for the root of all."""
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
    """Return the bytes that all hubs may have, in whole pages as the kernel counts them."""
    return int(os.sysconf("SC_PHYS_PAGES") * _SHARE) * os.sysconf("SC_PAGE_SIZE")
