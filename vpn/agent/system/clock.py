"""The clock of leases: the time since the server's start, with the time in which it slept."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

from vpn.wire.lease import Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now() -> Moment:
    """Return the present time. Setting the server's time of day does not change it."""
    return Moment(_boot(), time.clock_gettime(time.CLOCK_BOOTTIME))


@cache
def _boot() -> str:
    return _BOOT_ID.read_text().strip()
