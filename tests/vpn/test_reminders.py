"""Who has a device is mailed seven days and one day before it ends, once each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from portal.actions.member import change_member
from portal.actions.organization import set_unused_days, switch_reminders
from portal.actions.queued_mail import send_queued
from portal.models import JournalEntry, Membership, Organization, QueuedMail
from tests.factories import BY, make_client_peer
from vpn.actions.peers import reminder
from vpn.actions.peers.peer import delete_peer, update_peer
from vpn.actions.peers.reminder import remind
from vpn.models import Instance, Peer

pytestmark = pytest.mark.both_databases
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def mail_is_sent(settings: Settings) -> None:
    """As with a mail server."""
    settings.EMAIL_CONFIGURED = True


@pytest.fixture
def device(client_peer: Peer) -> Peer:
    """A device that its owner has had for a while."""
    Peer.objects.filter(pk=client_peer.pk).update(created_at=timezone.now() - 100 * DAY)
    return client_peer


def ends(peer: Peer, days: float, *, unused: int | None = None) -> None:
    """As if the device ended in so many days: by its date, or after `unused` days without use."""
    end = timezone.now() + timedelta(days=days)
    if unused is None:
        Peer.objects.filter(pk=peer.pk).update(expires_at=end)
    else:
        counted = end - timedelta(days=unused + 1)
        Peer.objects.filter(pk=peer.pk).update(unused_until=end, unused_days=unused, use_counted_at=counted)


def sent() -> list[EmailMessage]:
    """The reminders that are due now, as they are sent."""
    assert remind(5.0, by=BY)
    assert remind(5.0, by=BY), "a second run finds nothing"
    for queued in list(QueuedMail.objects.all()):
        send_queued(queued.pk, by=BY)
    found = list(mail.outbox)
    mail.outbox.clear()
    return found


@pytest.mark.parametrize("unused", [None, 30])
def test_it_is_mailed_seven_days_and_one_day_before(unused: int | None, device: Peer) -> None:
    ends(device, 8, unused=unused)
    assert not sent()
    ends(device, 6.9, unused=unused)
    [first] = sent()
    assert first.to == [device.member.user.email]  # type: ignore[union-attr]
    assert f"{settings.PUBLIC_URL}/peers/{device.pk}/" in first.body
    assert not sent()
    # The same end, five days and a half later.
    end = Peer.objects.get(pk=device.pk).ends_at
    ends(device, 0.9, unused=unused)
    Peer.objects.filter(pk=device.pk, reminded_for=end).update(reminded_for=Peer.objects.get(pk=device.pk).ends_at)
    assert len(sent()) == 1
    assert not sent()
    lines = JournalEntry.objects.filter(code="peer.reminded", object_id=str(device.pk)).order_by("id")
    assert [line.details["days_before"] for line in lines] == [7, 1]
    assert {line.organization_id for line in lines} == {device.instance.organization_id}


def test_it_says_what_to_do(device: Peer) -> None:
    ends(device, 6.9, unused=30)
    [by_use] = sent()
    assert "has not been used for 30 days" in by_use.body
    assert "switch its tunnel on" in by_use.body
    ends(device, 3)
    [by_date] = sent()
    assert f"an admin of {device.instance.organization.name} has set" in by_date.body
    assert "ask an admin" in by_date.body


def test_a_later_end_is_reminded_of_again(device: Peer) -> None:
    ends(device, 0.5)
    assert len(sent()) == 1
    update_peer(device, expires_at=timezone.now() + 20 * DAY, by=BY)
    assert not sent()
    ends(device, 6)
    assert len(sent()) == 1


@pytest.mark.parametrize(("days", "unused", "count"), [(0.9, 1, 0), (1.9, 2, 0), (0.9, 2, 1), (6.9, 7, 0), (6.9, 8, 1)])
def test_who_uses_a_device_every_day_is_not_reminded(days: float, unused: int, count: int, device: Peer) -> None:
    ends(device, days, unused=unused)
    assert len(sent()) == count


def test_of_two_ends_the_earlier_one_counts(device: Peer) -> None:
    ends(device, 5)
    ends(device, 6, unused=30)
    [only] = sent()
    assert "has set" in only.body


def test_nobody_is_told_what_they_were_told_when_they_got_it(instance: Instance, member: Membership) -> None:
    ends(make_client_peer(instance, member), 3)
    assert not sent()


def test_who_is_deactivated_gets_none(device: Peer, member: Membership) -> None:
    ends(device, 3)
    change_member(member, active=False, by=BY)
    assert not sent()


@pytest.mark.parametrize("act", ["disable", "delete", "use"])
def test_what_changes_before_it_is_sent_sends_none(act: str, device: Peer) -> None:
    ends(device, 3, unused=30)
    assert remind(5.0, by=BY)
    if act == "disable":
        update_peer(device, enabled=False, by=BY)
    elif act == "use":
        ends(device, 31, unused=30)
    else:
        delete_peer(device, by=BY)
    assert not sent()
    assert not QueuedMail.objects.exists()


def test_an_organization_switches_them_off(device: Peer, organization: Organization, admin_browser: Client) -> None:
    ends(device, 3)
    admin_browser.post("/settings/", {"name": organization.name, "reminders_off": "on"})
    line = JournalEntry.objects.get(code="organization.reminders_switched")
    assert line.changes == {"reminders_off": [False, True]}
    assert not sent()
    organization.refresh_from_db()
    switch_reminders(organization, off=False, by=BY)
    assert len(sent()) == 1


def test_without_a_mail_server_nothing_is_queued(device: Peer, settings: Settings) -> None:
    settings.EMAIL_CONFIGURED = False
    ends(device, 3)
    assert not sent()
    settings.EMAIL_CONFIGURED = True
    assert len(sent()) == 1


def test_a_job_that_is_killed_sends_none_twice_and_loses_none(device: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reminder is noted and queued in one transaction."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    ends(device, 3)
    monkeypatch.setattr(reminder, "acted", killed)
    with pytest.raises(KeyboardInterrupt):
        remind(5.0, by=BY)
    assert not QueuedMail.objects.exists()
    monkeypatch.undo()
    assert Peer.objects.get(pk=device.pk).reminded_for is None


def test_an_action_that_saves_the_device_forgets_no_reminder(device: Peer, instance: Instance) -> None:
    ends(device, 3)
    assert len(sent()) == 1
    update_peer(device, device="tablet", by=BY)
    set_unused_days(instance.organization, 30, by=BY)
    assert not sent()
