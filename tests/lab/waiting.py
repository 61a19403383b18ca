"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 5.0, what: str = "the condition") -> float:
    """Wait until `condition()` is true and return how long that took, in seconds. Raises AssertionError otherwise."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - started
