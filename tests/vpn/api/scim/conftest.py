"""Directories with tokens."""

from __future__ import annotations

import pytest

from portal.models import Membership
from tests.vpn.api.scim.directory import Directory


@pytest.fixture
def directory(admin: Membership) -> Directory:
    """The directory of the organization."""
    return Directory.of(admin)


@pytest.fixture
def other_directory(stranger: Membership) -> Directory:
    """The directory of another organization."""
    return Directory.of(stranger)
