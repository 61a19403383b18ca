"""What several tests of the portal's own app ask for."""

from __future__ import annotations

import pytest

from portal.audit.chain import seal_lines
from tests.portal.sealed_journal import ALL, append


@pytest.fixture
def sealed(db: None) -> None:
    """A journal of ten sealed lines."""
    append(10)
    assert seal_lines(ALL)
