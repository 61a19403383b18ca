"""Processes that an earlier run left behind, found again for certain and ended.

Every process that we start leads a process group of its own and is written down with its start time and the boot it
belongs to. A member of such a group is ended only if it also carries this data directory's mark in its environment, so
that a number used again by somebody else is never taken for ours. Hubs live in sessions of their own and stay.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

MARK = "VPN_PORTAL_RUN"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Process:
    """What /proc says of one process."""

    pid: int
    group: int
    started: int

    def carries(self, mark: str) -> bool:
        """Was it started with this mark in its environment?"""
        try:
            environ = Path(f"/proc/{self.pid}/environ").read_bytes()
        except OSError:
            return False
        return f"{MARK}={mark}".encode() in environ.split(b"\0")


def read_process(pid: int) -> Process | None:
    """Look a process up; None where it is gone, or has ended and only waits to be noticed."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Process(pid, int(fields[2]), int(fields[19]))


def write_down(directory: Path, name: str) -> None:
    """Remember the calling process, which leads its group, under a name."""
    directory.mkdir(mode=0o700, exist_ok=True)
    me = read_process(os.getpid())
    if me is None:
        return
    record = {"pid": me.pid, "started": me.started, "boot": _BOOT_ID.read_text().strip()}
    temporary = directory / f".{name}.{me.pid}"
    temporary.write_text(json.dumps(record))
    temporary.replace(directory / f"{name}.json")


def find_leftovers(directory: Path, mark: str) -> list[Process]:
    """What is still there of the groups that were written down."""
    groups = _recorded_groups(directory)
    if not groups:
        return []
    found = (read_process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [
        process
        for process in found
        if process and process.group in groups and process.started >= groups[process.group] and process.carries(mark)
    ]


def end_leftovers(directory: Path, mark: str, *, patience: float) -> int:
    """End what is left: asked first, made to after `patience` seconds. Returns how many there were."""
    left = find_leftovers(directory, mark)
    number = len(left)
    _signal(left, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = find_leftovers(directory, mark)
    while left:
        _signal(left, signal.SIGKILL)
        time.sleep(0.05)
        left = find_leftovers(directory, mark)
    for record in directory.glob("*.json"):
        record.unlink(missing_ok=True)
    return number


def _recorded_groups(directory: Path) -> dict[int, int]:
    boot = _BOOT_ID.read_text().strip()
    groups = {}
    for path in directory.glob("*.json"):
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if record.get("boot") == boot:
            groups[int(record["pid"])] = int(record["started"])
    return groups


def _signal(processes: list[Process], number: signal.Signals) -> None:
    for process in processes:
        if read_process(process.pid) == process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
