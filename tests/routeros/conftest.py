"""Routers in a laboratory."""

from tests.lab.own import lab

__all__ = ["lab"]
