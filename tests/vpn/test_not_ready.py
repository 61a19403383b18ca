"""Why a profile is not handed out yet: said as it is, never "in a moment" where that is not so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from portal.models import Membership, Organization
from tests.factories import make_client_peer, make_instance
from vpn.actions.profile import HubNotReady, deliver_profile
from vpn.choices import InstanceState
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, Tick

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "It is being told"),
        ({"failure": "The disk is full."}, "did not reach it"),
        ({"state": InstanceState.FAILED}, "could not be created"),
        ({"state": InstanceState.LOST}, "does not answer"),
        ({"state": InstanceState.PROVISIONING}, "is being created"),
    ],
)
def test_a_profile_that_has_to_wait_says_for_what(
    organization: Organization, member: Membership, changes: dict[str, str], words: str
) -> None:
    instance = make_instance(organization)
    peer = make_client_peer(instance, member)
    Instance.objects.filter(pk=instance.pk).update(**changes)
    with pytest.raises(HubNotReady, match=words):
        deliver_profile(peer)


def test_since_when_a_server_is_behind_is_noted_and_forgotten(organization: Organization, member: Membership) -> None:
    instance = make_instance(organization)

    def since() -> object:
        Tick.objects.all().delete()
        reconcile_all()
        return Instance.objects.values_list("lagging_since", flat=True).get(pk=instance.pk)

    assert since() is None
    make_client_peer(instance, member)
    first = since()
    assert first is not None
    assert since() == first, "the beginning stays"
    Instance.objects.filter(pk=instance.pk).update(applied_generation=10_000, desired_generation=10_000)
    assert since() is None
    assert timezone.now() - timedelta(minutes=1) < first  # type: ignore[operator]
