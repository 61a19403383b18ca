"""A peer is made at the very moment when its site or its member is removed: one of the two is refused, in words."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from portal.actions.member import remove_member
from portal.exceptions import Conflict
from portal.models import Membership
from tests.factories import BY, make_client_peer, make_instance, make_member, make_organization, make_site
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.actions.sites.site import delete_site
from vpn.models import Instance, Peer, Site

DEADLINE = 20
ROUNDS = 5


def test_a_site_that_is_gone_gets_no_peer(instance: Instance, site: Site) -> None:
    Site.objects.filter(pk=site.pk).delete()
    with pytest.raises(Conflict, match="was just removed") as refused:
        create_site_peer(instance, site=site, subnets=["10.1.0.0/24"], by=BY)
    assert refused.value.field == "site_id"
    assert not Peer.objects.exists()


def test_a_member_who_is_gone_gets_no_device(instance: Instance, member: Membership) -> None:
    Membership.objects.filter(pk=member.pk).delete()
    with pytest.raises(Conflict, match="removed at this very moment") as refused:
        create_client_peer(instance, member=member, by=BY)
    assert refused.value.field == "user_id"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_in_a_circle_for_a_member() -> None:
    instance = make_instance(make_organization())
    for _ in range(ROUNDS):
        member = make_member(instance.organization)
        make_client_peer(instance, member)
        outcomes = at_once(
            lambda member=member: remove_member(member, by=BY),  # type: ignore[misc]
            lambda member=member: create_client_peer(instance, member=member, device="phone", by=BY),  # type: ignore[misc]
        )
        assert any(outcomes)
        assert Membership.objects.filter(pk=member.pk).exists() == Peer.objects.filter(member=member.pk).exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_site_is_deleted_or_connected() -> None:
    instance = make_instance(make_organization())
    for number in range(ROUNDS):
        site = make_site(instance.organization)
        outcomes = at_once(
            lambda site=site: delete_site(site, by=BY),  # type: ignore[misc]
            lambda site=site, number=number: create_site_peer(  # type: ignore[misc]
                instance, site=site, subnets=[f"10.{number}.0.0/24"], by=BY
            ),
        )
        assert sorted(outcomes) == [False, True]
        assert Site.objects.filter(pk=site.pk).exists() == Peer.objects.filter(site=site.pk).exists()


def at_once(*acts: Callable[[], object]) -> list[bool]:
    """Do all of it at the same moment; which of it was not refused? What else is raised fails the test."""
    start = Barrier(len(acts), timeout=DEADLINE)

    def attempt(act: Callable[[], object]) -> bool:
        try:
            start.wait()
            act()
        except Conflict:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(len(acts)) as pool:
        return [outcome.result(DEADLINE) for outcome in [pool.submit(attempt, act) for act in acts]]
