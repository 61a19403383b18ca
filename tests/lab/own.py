"""A laboratory for one test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A laboratory of the test's own."""
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    with Lab() as laboratory:
        yield laboratory
