"""Programs of other suites of the distribution, which `.ci/packages test` unpacks: each suite is a root of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

ROOTS: Final = Path("/var/cache/vpn-portal-tests")
INSIDE: Final = "/mnt"  # where a program finds the directory that it is given

# In a mount namespace of the caller's.
_ENTER: Final = (
    'root=$1 && mount --bind /dev "$root/dev" && mount -t proc proc "$root/proc" && mount --bind "$2" "$root/mnt"'
    ' && shift 2 && exec chroot "$root" "$@"'
)


def root_of(suite: str, program: str) -> Path:
    """Return the root of a suite that has `program`, or skip the test, loudly."""
    root = ROOTS / suite
    if not (root / program.lstrip("/")).exists():
        pytest.skip(f"NOT TRIED: no {program} of {suite} on this machine (`.ci/packages test` says why)")
    return root


def inside(root: Path, directory: Path, argv: Sequence[str]) -> list[str]:
    """Return `argv` as it is called from a mount namespace to run in `root`, with `directory` at `INSIDE`."""
    return ["sh", "-c", _ENTER, "sh", str(root), str(directory), *argv]
