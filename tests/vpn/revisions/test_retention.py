"""Retention of revisions: by age and by number; the newest stays, and parts go with the last that has them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models import QuerySet
from django.utils import timezone

from tests.factories import BY
from vpn.actions.instances.settings import update_instance
from vpn.jobs import tidy
from vpn.models import Instance, Revision, RevisionPart

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def numbers(instance: Instance) -> list[int]:
    return sorted(instance.revisions.values_list("number", flat=True))


def grow_older(*chosen: int) -> None:
    QuerySet(Revision).filter(number__in=chosen).update(at=timezone.now() - timedelta(days=31))


def test_old_ones_go_and_the_newest_stays(instance: Instance, settings: LazySettings) -> None:
    """Two sites were connected: revision 4 is the newest."""
    settings.REVISION_DAYS = 30
    update_instance(instance, firewall=[{"name": "web"}], by=BY)
    grow_older(1, 2, 4)
    assert tidy.remove_ended(30)
    assert numbers(instance) == [3, 4]
    grow_older(3, 4)
    tidy.remove_ended(30)
    assert numbers(instance) == [4]
    update_instance(instance, firewall=[], by=BY)
    assert numbers(instance) == [4, 5]


def test_no_more_than_the_newest_are_kept(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "_REVISIONS_KEPT", 2)
    for mtu in (1300, 1312):
        update_instance(instance, mtu=mtu, by=BY)
    tidy.remove_ended(30)
    assert numbers(instance) == [4, 5]


def test_a_part_goes_with_the_last_revision_that_has_it(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "_REVISIONS_KEPT", 1)
    update_instance(instance, firewall=[{"name": "web"}], by=BY)
    update_instance(instance, firewall=[{"name": "mail"}], by=BY)
    assert RevisionPart.objects.filter(section="rules").count() == 2
    for _ in range(2):  # parts may come before revisions in a run
        tidy.remove_ended(30)
    newest = instance.revisions.get()
    assert set(RevisionPart.objects.values_list("pk", flat=True)) == {newest.rules_id, newest.sites_id}
