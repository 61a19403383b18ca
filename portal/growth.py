"""How much memory of its own a process has taken: Python returns little of that of a large job to the system.

A process that has grown ends when it is idle, and its parent forks a new one.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

_MAPPED: Final = Path("/proc/self/smaps_rollup")
# A worker without jobs has 9 MB, one with small jobs 15 to 20, and one that compiled a hub of 5,000 peers 30.
_MOST: Final = 24 * 1024  # kB
# The kernel takes a millisecond to add up a process's memory.
_CHECKED_EVERY: Final = 25.0  # seconds
# A new process has to open its connections and sessions again.
USUAL_AGE: Final = 120.0  # seconds


class Growth:
    """Compares the memory of this process with that of a new one, which shares nearly all with its parent."""

    def __init__(self, least_age: float = USUAL_AGE) -> None:
        self._grows_until = time.monotonic() + least_age
        self._next_check = 0.0
        self._is_too_large = False

    def is_too_large(self) -> bool:
        """Return True if a new process should take this one's place."""
        now = time.monotonic()
        if now >= max(self._grows_until, self._next_check):
            self._is_too_large = own_memory() > _MOST
            self._next_check = now + _CHECKED_EVERY
        return self._is_too_large


def own_memory() -> int:
    """The memory that this process shares with no other, in kB; 0 if the kernel does not say."""
    try:
        found = re.findall(r"^Private_Dirty:\s+(\d+) kB", _MAPPED.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return sum(map(int, found))
