"""Seal new lines of the journals, so that a later change is found (portal.audit.chain)."""

from __future__ import annotations

from typing import Final

from portal.audit.chain import seal_lines
from vpn.jobs.tick import scheduled

SEAL_SECONDS: Final = 15
_SLICE_SECONDS: Final = 2.0


@scheduled("journal", SEAL_SECONDS)
def seal_journals() -> None:
    """Seal as many lines as the time suffices for; the next run continues."""
    seal_lines(_SLICE_SECONDS)
