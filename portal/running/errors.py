"""The error that stops `make up`."""

from __future__ import annotations


class CannotRunError(Exception):
    """Its text is one sentence with the fault and the remedy."""
