"""How figures are printed."""

from __future__ import annotations

import os
import platform
import sys


def say(what: str, figure: str) -> None:
    """Print one figure."""
    sys.stdout.write(f"{what:<72}{figure:>22}\n")
    sys.stdout.flush()


def say_where() -> None:
    """Print what the figures are figures of."""
    sys.stdout.write(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")


def milliseconds(seconds: float) -> str:
    """Seconds as text."""
    return f"{seconds * 1000:.{0 if seconds > 0.0095 else 1}f} ms"
