"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

_SHORTEST, _LONGEST = 0.02, 0.25  # seconds between two looks


def wait_until(
    condition: Callable[[], object],
    seconds: float = 5.0,
    what: str = "the condition",
    explain: Callable[[], str] = lambda: "",
) -> float:
    """Wait until `condition()` is true and return how long that took, in seconds. Raises AssertionError otherwise.

    The longer it takes, the less often it looks: many conditions load a page, and keep the processor from what is
    waited for. The time returned is at most a tenth too long.
    """
    started = time.monotonic()
    while not condition():
        spent = time.monotonic() - started
        if spent > seconds:
            raise AssertionError(f"{what} did not come true within {seconds} s {explain()}".rstrip())
        time.sleep(min(max(_SHORTEST, spent / 10), _LONGEST))
    return time.monotonic() - started
