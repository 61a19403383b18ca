"""A mail server that is slow, away or unwilling keeps no page waiting, and a page says what became of the mail."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from portal.actions.member import change_member
from portal.actions.queued_mail import due_mail, health
from portal.models import Membership, QueuedMail, User
from tests.factories import BY
from tests.mail_server import MailServer, smtp_settings
from tests.portal.mailbox import send_what_waits
from vpn.jobs.mail import send_one
from vpn.jobs.reconcile import reconcile_all

pytestmark = pytest.mark.django_db(transaction=True)
GUEST = "guest@example.org"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A mail server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with override_settings(**smtp_settings(listener.getsockname()[1]), EMAIL_TIMEOUT=0.2):
            yield listener


def invite(browser: Client, email: str = GUEST) -> Membership:
    """Invite somebody on the page."""
    answer = browser.post("/people/new/", {"email": email, "name": "", "role": "member"}, follow=True)
    assert b"A link is on its way to" in answer.content
    return Membership.objects.get(user__email=email)


def page_of(browser: Client, person: Membership) -> str:
    """A person's page."""
    return browser.get(f"/people/{person.pk}/").content.decode()


def make_due() -> None:
    """Let the time pass after which a mail is tried again."""
    QueuedMail.objects.update(claimed_at=timezone.now() - timedelta(minutes=2))


def test_a_mail_server_that_says_nothing_keeps_no_page_waiting(admin_browser: Client, silent: socket.socket) -> None:
    person = invite(admin_browser)
    assert admin_browser.post("/accounts/logout/").status_code == 302
    Client().post("/accounts/password/reset/", {"email": GUEST})
    with pytest.raises(BlockingIOError):  # nobody connected
        silent.accept()
    assert QueuedMail.objects.filter(membership=person).exists()
    assert QueuedMail.objects.filter(address=GUEST).exists()


def test_what_became_of_the_mail_is_told_on_the_persons_page(
    admin_browser: Client, silent: socket.socket, mail_server: MailServer
) -> None:
    person = invite(admin_browser)
    assert "A mail with it is on its way." in page_of(admin_browser, person)
    send_what_waits()
    assert "The mail server did not take it (SMTPServerDisconnected). It is tried again every minute" in page_of(
        admin_browser, person
    )
    assert ">Mail link</button>" in page_of(admin_browser, person)
    make_due()
    assert "has not taken 1 mails" in health()
    with override_settings(**mail_server.settings):
        send_what_waits()
    [(recipient, text)] = mail_server.received
    assert recipient == GUEST
    assert "/accounts/link/" in text
    assert "Last mail:" in page_of(admin_browser, person)
    assert health() == "ok"


def test_a_link_is_neither_kept_nor_rung_for(admin_browser: Client, rung: list[tuple[str, ...]]) -> None:
    """The worker makes it: what a stolen database or Redis holds is an id."""
    with override_settings(EMAIL_CONFIGURED=True):
        person = invite(admin_browser)
    queued = QueuedMail.objects.get()
    assert rung == [("mail", "vpn.jobs.mail.send_one", str(queued.pk))]
    kept = QueuedMail.objects.values("kind", "membership", "address", "claimed_at", "fault").get()
    assert kept == {"kind": "link", "membership": person.pk, "address": "", "claimed_at": None, "fault": ""}


def test_sent_it_is_forgotten_and_sent_once(admin_browser: Client, mail_server: MailServer) -> None:
    with override_settings(**mail_server.settings):
        invite(admin_browser)
        pk = QueuedMail.objects.get().pk
        send_one(str(pk))
        send_one(str(pk))
    assert len(mail_server.received) == 1
    assert not QueuedMail.objects.exists()


def test_another_worker_at_the_same_moment_does_not_send_twice(admin_browser: Client, mail_server: MailServer) -> None:
    with override_settings(**mail_server.settings):
        invite(admin_browser)
        QueuedMail.objects.update(claimed_at=timezone.now())
        send_what_waits()
    assert mail_server.received == []


@pytest.mark.parametrize(("answering", "answer"), [("to_recipient", b"550 nobody"), ("to_message", b"554 no")])
def test_what_is_refused_for_good_is_not_tried_again(
    admin_browser: Client, mail_server: MailServer, answering: str, answer: bytes
) -> None:
    setattr(mail_server, answering, answer)
    with override_settings(**mail_server.settings):
        person = invite(admin_browser, "ben@example.org")
        send_what_waits()
    assert f"({answer[:3].decode()}). Check the address, then mail another one." in page_of(admin_browser, person)
    assert not QueuedMail.objects.exists()


def test_a_lost_ring_is_rung_again_and_an_hour_is_enough(
    admin_browser: Client, rung: list[tuple[str, ...]], silent: socket.socket
) -> None:
    person = invite(admin_browser)
    queued = QueuedMail.objects.get()
    ring = ("mail", "vpn.jobs.mail.send_one", str(queued.pk))
    rung.clear()
    QueuedMail.objects.update(requested_at=timezone.now() - timedelta(seconds=10))
    reconcile_all()
    assert ring in rung
    send_what_waits()
    assert not due_mail().exists()
    make_due()
    QueuedMail.objects.update(requested_at=timezone.now() - timedelta(hours=2))
    assert list(due_mail()) == [queued]
    send_what_waits()
    assert not QueuedMail.objects.exists()
    shown = page_of(admin_browser, person)
    assert "(SMTPServerDisconnected). Mail another one, or ask the operator of this portal." in shown


def test_a_worker_that_was_ended_by_its_time_limit_leaves_a_word(admin_browser: Client, silent: socket.socket) -> None:
    """The alarm may come at any line, so that the worker itself writes nothing."""
    person = invite(admin_browser)
    make_due()
    QueuedMail.objects.update(requested_at=timezone.now() - timedelta(hours=2))
    send_what_waits()
    assert "it kept the portal waiting for too long. Mail another one" in page_of(admin_browser, person)


def test_who_was_deactivated_meanwhile_gets_none(admin_browser: Client, mail_server: MailServer) -> None:
    with override_settings(**mail_server.settings):
        person = invite(admin_browser)
        change_member(person, active=False, by=BY)
        send_what_waits()
    assert mail_server.received == []
    assert not QueuedMail.objects.exists()
    person.refresh_from_db()
    assert "is deactivated" in person.link_fault_words


def test_asking_for_a_new_password_takes_the_same_steps_for_every_address(
    member: Membership, settings: Settings
) -> None:
    settings.EMAIL_CONFIGURED = True
    steps = []
    for address in (member.user.email, "never@example.org"):
        with CaptureQueriesContext(connection) as queries:
            assert Client().post("/accounts/password/reset/", {"email": address}).status_code == 302
        steps.append(len(queries))
    assert steps[0] == steps[1]


def test_a_new_passwords_link_goes_to_the_accounts_own_address(member: Membership, mail_server: MailServer) -> None:
    """Databases take other spellings for the same address, and some of those are another one: an i without a dot is."""
    own = "Anna@Example.org"
    User.objects.filter(pk=member.user_id).update(email=own)
    with override_settings(**mail_server.settings):
        Client().post("/accounts/password/reset/", {"email": own.lower()})
        send_what_waits()
    assert [recipient for recipient, _ in mail_server.received] == [own]


def test_staff_see_what_waits_and_change_nothing_of_it(staff_browser: Client, silent: socket.socket) -> None:
    Client().post("/accounts/password/reset/", {"email": GUEST})
    send_what_waits()
    queued = QueuedMail.objects.get()
    assert "did not take it (SMTPServerDisconnected)" in staff_browser.get("/admin/portal/queuedmail/").content.decode()
    assert staff_browser.get(f"/admin/portal/queuedmail/{queued.pk}/change/").status_code == 200
    assert staff_browser.post(f"/admin/portal/queuedmail/{queued.pk}/change/", {"address": "x"}).status_code == 403
