"""Whether the change under way is only a preview, which is rolled back."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

# Set during a preview: what the action does to each instance (vpn.actions.activity.planning.ChangePreview).
asked: ContextVar[list[Any] | None] = ContextVar("asked", default=None)


def is_preview() -> bool:
    """Is the current change only a preview?"""
    return asked.get() is not None
