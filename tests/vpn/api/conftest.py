"""Programs with tokens of each role."""

from __future__ import annotations

import pytest

from portal.models import Membership
from tests.vpn.api.caller import Caller


@pytest.fixture
def api(admin: Membership) -> Caller:
    """The admin's program."""
    return Caller.of(admin)


@pytest.fixture
def auditor_api(auditor: Membership) -> Caller:
    """The auditor's program."""
    return Caller.of(auditor)


@pytest.fixture
def member_api(member: Membership) -> Caller:
    """The plain member's program."""
    return Caller.of(member)


@pytest.fixture
def stranger_api(stranger: Membership) -> Caller:
    """A program of another organization's admin."""
    return Caller.of(stranger)
