"""Two admins who throw each other out at the same moment: one stays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from portal.actions.member import change_member, remove_member
from portal.exceptions import Conflict
from portal.models import Membership, MembershipState, Role
from tests.factories import BY, an_admin, make_member, make_organization

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
DEADLINE = 20


def test_one_admin_stays() -> None:
    organization = make_organization()
    first, second = an_admin(organization), make_member(organization, Role.ADMIN)
    start = Barrier(2, timeout=DEADLINE)

    def deactivate(member: Membership) -> bool:
        return _attempt(start, lambda: change_member(member, active=False, by=BY))

    def remove(member: Membership) -> bool:
        return _attempt(start, lambda: remove_member(member, by=BY))

    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(deactivate, first), pool.submit(remove, second)]
        assert sorted(outcome.result(DEADLINE) for outcome in outcomes) == [False, True]
    admins = organization.memberships.filter(role=Role.ADMIN, state=MembershipState.ACTIVE)
    assert admins.count() == 1


def _attempt(start: Barrier, act: Callable[[], object]) -> bool:
    """Did it succeed?"""
    try:
        start.wait()
        act()
    except Conflict:
        return False
    finally:
        connection.close()
    return True
