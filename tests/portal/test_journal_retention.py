"""Retention of journals: each organization's own days, and the rest of the chain verifies."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from portal.actions.journal import set_retention
from portal.audit import retention
from portal.audit.chain import seal_lines
from portal.audit.retention import prune_journals
from portal.audit.verifying import verify
from portal.exceptions import InvalidInput
from portal.models import JournalEntry, JournalHead, Membership, Organization
from portal.models.journal import PORTAL_JOURNAL
from tests.factories import BY, make_organization
from tests.portal.sealed_journal import ACME, ALL, append
from vpn.jobs.tidy import tidy

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def old(days: float, number: int = 1, of: UUID = ACME) -> list[JournalEntry]:
    """Lines of so many days ago, sealed."""
    made = append(number, at=timezone.now() - timedelta(days=days), organization_id=of)
    assert seal_lines(ALL)
    return made


def left(of: UUID = ACME) -> int:
    return JournalEntry.objects.filter(organization_id=of).count()


def test_old_lines_go_batch_by_batch_and_the_rest_verifies(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH", 3)
    old(401, 7)
    old(399, 2)
    assert not prune_journals(0)
    assert prune_journals(ALL)
    head = JournalHead.objects.get(pk=ACME)
    assert (left(), head.anchor_position, head.position) == (2, 7, 9)
    verdict = verify(ACME)
    assert (verdict.lines, verdict.faults) == (2, [])
    old(0)
    assert verify(ACME).faults == []
    # Had the anchor not been kept, a removed first line would not be missed.
    JournalEntry.objects.filter(position=8)._raw_delete(using="default")
    assert verify(ACME).faults == ["line 8 was removed"]


def test_each_organization_has_its_own_days(organization: Organization, other_organization: Organization) -> None:
    JournalEntry.objects.all()._raw_delete(using="default")
    set_retention(organization, 30, by=BY)
    JournalEntry.objects.all()._raw_delete(using="default")
    for one in (organization.pk, other_organization.pk, PORTAL_JOURNAL):
        old(31, of=one)
        old(29, of=one)
    tidy()
    assert [left(one) for one in (organization.pk, other_organization.pk, PORTAL_JOURNAL)] == [1, 2, 2]


def test_the_portals_own_journal_has_a_setting(db: None, settings: Settings) -> None:
    settings.JOURNAL_DAYS = 30
    old(31, of=PORTAL_JOURNAL)
    prune_journals(ALL)
    assert left(PORTAL_JOURNAL) == 0
    assert verify(PORTAL_JOURNAL).faults == []
    old(0, of=PORTAL_JOURNAL)
    verdict = verify(PORTAL_JOURNAL)
    assert (verdict.lines, verdict.faults) == (1, [])


def test_the_head_of_a_deleted_organization_goes_with_its_last_line(db: None) -> None:
    old(401, 2)
    prune_journals(ALL)
    assert left() == 0
    assert not JournalHead.objects.filter(pk=ACME).exists()


def test_lines_that_are_not_sealed_stay(db: None) -> None:
    old(401)
    append(1, at=timezone.now() - timedelta(days=450), organization_id=ACME)
    prune_journals(ALL)
    assert left() == 1


def test_an_altered_head_keeps_everything(db: None) -> None:
    old(401)
    JournalHead.objects.update(anchor_position=1)
    prune_journals(ALL)
    assert left() == 1


def test_lines_that_are_pruned_while_they_are_verified_are_not_missed(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is read first; then retention takes lines that it names."""
    old(401, 6)
    old(399, 3)
    monkeypatch.setattr("portal.audit.verifying._CHUNK", 2)
    monkeypatch.setattr(retention, "_BATCH", 3)
    from portal.audit import verifying

    rows, asked = verifying._rows, []

    def meanwhile(head: JournalHead, after: int) -> object:
        asked.append(after)
        if len(asked) == 3:
            prune_journals(ALL)
        return rows(head, after)

    monkeypatch.setattr(verifying, "_rows", meanwhile)
    assert verify(ACME).faults == []
    assert left() == 3


# The setting ----------------------------------------------------------------------------------------------------------


def test_an_admin_sets_the_days_on_the_settings_page(admin_browser: Client, admin: Membership) -> None:
    organization = admin.organization
    form = {"name": organization.name, "journal_days": "90"}
    assert admin_browser.post("/settings/", form).status_code == 302
    organization.refresh_from_db()
    assert organization.journal_days == 90
    line = JournalEntry.objects.get(code="organization.journal_retention_changed")
    assert (line.changes, line.actor) == ({"journal_days": [None, 90]}, admin.principal)
    assert 'value="90"' in admin_browser.get("/settings/").content.decode()
    admin_browser.post("/settings/", {**form, "journal_days": ""})
    organization.refresh_from_db()
    assert organization.journal_days is None


@pytest.mark.parametrize("days", ["29", "0", "-1", "36501", "for ever"])
def test_other_days_are_refused(admin_browser: Client, admin: Membership, days: str) -> None:
    answer = admin_browser.post("/settings/", {"name": admin.organization.name, "journal_days": days})
    assert answer.status_code == 200
    admin.organization.refresh_from_db()
    assert admin.organization.journal_days is None


def test_the_action_refuses_too(db: None) -> None:
    with pytest.raises(InvalidInput):
        set_retention(make_organization(), 29, by=BY)
