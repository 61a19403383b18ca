"""Notice cheaply that files were added to a directory, removed from it or replaced: its modification time changes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

Stamp = tuple[tuple[int, int], ...]

# The kernel's file times advance by a few milliseconds. A change within the same step as another one is not seen.
_RECENT: Final = 100_000_000  # nanoseconds


def of(paths: Iterable[str]) -> Stamp | None:
    """Return the inodes and modification times of `paths`; None if one has changed just now, and may change unseen.

    A directory's time tells of its entries only, not of what is written into them.
    """
    found, now = [], time.time_ns()
    for path in paths:
        try:
            there = os.stat(path)
        except OSError:
            found.append((0, 0))
            continue
        if abs(now - there.st_mtime_ns) < _RECENT:
            return None
        found.append((there.st_ino, there.st_mtime_ns))
    return tuple(found)
