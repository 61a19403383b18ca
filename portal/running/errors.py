"""What stops `make up`."""

from __future__ import annotations


class CannotRunError(Exception):
    """Carries one sentence that says what is wrong and what helps."""
