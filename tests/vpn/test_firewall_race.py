"""What a rule names is deleted while the rule is saved: no rule stays that names nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from django.db import connection, transaction

from portal.actions.group import create_group, delete_group
from portal.actions.member import remove_member
from portal.exceptions import Conflict, InvalidInput
from portal.models import Group
from tests.factories import BY, make_instance, make_member, make_organization, make_site
from vpn.actions.instances.settings import update_instance
from vpn.actions.sites.site import delete_site
from vpn.models import FirewallRule

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
DEADLINE = 20


@pytest.mark.parametrize("attempt", range(5))
def test_no_rule_names_a_group_that_is_gone(attempt: int) -> None:
    organization = make_organization()
    instance, group = make_instance(organization), create_group(organization, name="Sales", by=BY)
    start = Barrier(2, timeout=DEADLINE)
    acts = (
        lambda: delete_group(group, by=BY),
        lambda: update_instance(instance, firewall=[{"source": f"group:{group.pk}"}], by=BY),
    )
    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(_attempt, start, act) for act in acts]
        assert sorted(outcome.result(DEADLINE) for outcome in outcomes) == [False, True]
    assert Group.objects.exists() == FirewallRule.objects.exists()


@pytest.mark.parametrize("kind", ["site", "user"])
def test_no_rule_names_a_site_or_a_person_that_is_gone(kind: str) -> None:
    organization = make_organization()
    instance, site, member = make_instance(organization), make_site(organization), make_member(organization)
    end = f"site:{site.pk}" if kind == "site" else f"user:{member.pk}"
    start = Barrier(1, timeout=DEADLINE)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            update_instance(instance, firewall=[{"source": end}], by=BY)
            act = partial(delete_site, site, by=BY) if kind == "site" else partial(remove_member, member, by=BY)
            deleting = pool.submit(_attempt, start, act)
            _until(lambda: deleting.done() or _somebody_waits())
        assert deleting.result(DEADLINE)
    assert not FirewallRule.objects.exists()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _somebody_waits() -> bool:
    """Does another session wait for a lock?"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


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
