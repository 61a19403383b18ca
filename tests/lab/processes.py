"""The processes in network namespaces."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path


def end_processes(netns: Collection[str]) -> None:
    """Kill all processes in these namespaces; one pass over /proc, however many namespaces there are."""
    ended: set[tuple[int, int]] = set()
    for name in netns:
        with contextlib.suppress(OSError):
            ended.add(_identity(Path("/run/netns") / name))
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if _identity(entry / "ns" / "net") in ended:
                    os.kill(int(entry.name), signal.SIGKILL)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
