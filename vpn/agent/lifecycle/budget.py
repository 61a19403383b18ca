"""A limit for the time that background work takes, as a share of one CPU."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Budget:
    """Time to spend: it grows by `share` of each second, up to `most` seconds."""

    share: float
    most: float
    _left: float = 0.0
    _at: float = float("-inf")

    def is_left(self) -> bool:
        """Return True if any time is left. Work that takes longer is paid from the following seconds."""
        now = time.monotonic()
        self._left = min(self.most, self._left + self.share * (now - self._at))
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        """Take this time out of the budget."""
        self._left -= seconds
