"""A group is deleted while a rule that names it is saved: one of the two is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from portal.actions.group import create_group, delete_group
from portal.exceptions import Conflict, InvalidInput
from portal.models import Group
from tests.factories import make_instance, make_organization
from vpn.actions.instance_settings import update_instance
from vpn.models import FirewallRule

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
DEADLINE = 20


@pytest.mark.parametrize("attempt", range(5))
def test_no_rule_names_a_group_that_is_gone(attempt: int) -> None:
    organization = make_organization()
    instance, group = make_instance(organization), create_group(organization, name="Sales")
    start = Barrier(2, timeout=DEADLINE)
    acts = (lambda: delete_group(group), lambda: update_instance(instance, firewall=[{"source": f"group:{group.pk}"}]))
    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(_attempt, start, act) for act in acts]
        assert sorted(outcome.result(DEADLINE) for outcome in outcomes) == [False, True]
    assert Group.objects.exists() == FirewallRule.objects.exists()


def _attempt(start: Barrier, act: Callable[[], object]) -> bool:
    """Did it succeed?"""
    try:
        start.wait()
        act()
    except (Conflict, InvalidInput):
        return False
    finally:
        connection.close()
    return True
