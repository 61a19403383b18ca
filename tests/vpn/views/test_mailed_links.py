"""A share link that is mailed: the person's mailbox alone has it, and pages say what became of the mail."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.core.mail import EmailMessage
from django.test import Client, override_settings
from django.utils import timezone
from django.utils.translation import get_language

from portal.actions.staff_save import cancel_mails
from portal.models import JournalEntry, Membership, QueuedMail, User
from tests.factories import BY, make_site_peer, settle
from tests.mail_server import MailServer, smtp_settings
from tests.portal.mailbox import Mailbox, send_what_waits
from tests.secret_story import database_dump
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.peers.keys import rotate_keys
from vpn.models import IdempotencyKey, Instance, Peer, ProfileLink, Site

pytestmark = pytest.mark.django_db
CLOSED_PORT = 9


@pytest.fixture(autouse=True)
def _mail_is_sent() -> Iterator[None]:
    with override_settings(EMAIL_CONFIGURED=True, EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"):
        yield


@pytest.fixture
def on_hub(client_peer: Peer) -> Peer:
    """The member's device, as if the hub had it."""
    settle(client_peer.instance)
    return Peer.objects.get(pk=client_peer.pk)


def ask(browser: Client, peer: Peer, passphrase: str = "") -> str:
    """Have a link mailed; the page that says so."""
    answer = browser.post(f"/peers/{peer.pk}/link/mail/", {"passphrase": passphrase}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def page_of(browser: Client, peer: Peer) -> str:
    """The peer's page, with its lines joined."""
    return " ".join(browser.get(f"/peers/{peer.pk}/").content.decode().split())


def link_in(text: str) -> str:
    """The path of the link in a mail."""
    [found] = re.findall(r"https?://[^/]+(/p/[\w-]+/)", text)
    return str(found)


def test_the_person_gets_a_link_that_works_once(
    admin_browser: Client, admin: Membership, on_hub: Peer, mailoutbox: list[EmailMessage]
) -> None:
    assert "A link is on its way to" in ask(admin_browser, on_hub)
    [mail] = Mailbox(mailoutbox)
    assert on_hub.member is not None
    assert mail.to == [on_hub.member.user.email]
    for words in (admin.label, on_hub.device, on_hub.instance.name, admin.organization.name):
        assert words in mail.body
    path = link_in(str(mail.body))
    for _ in range(2):  # a scanner
        assert b"Show profile" in Client().get(path).content
    phone = Client()
    assert on_hub.private_key.encode() in phone.post(path).content
    assert Client().post(path).status_code == 404


def test_no_secret_is_kept_or_rung_for(
    admin_browser: Client,
    on_hub: Peer,
    rung: list[tuple[str, ...]],
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[list[object]]],
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        page = ask(admin_browser, on_hub, "seven geese")
    queued = QueuedMail.objects.get()
    assert rung[-1] == ("mail", "vpn.jobs.mail.send_one", str(queued.pk))
    [mail] = Mailbox(mailoutbox)
    token = link_in(str(mail.body)).split("/")[2]
    assert len(token) == 43
    for place in (page, database_dump(), page_of(admin_browser, on_hub)):
        assert token not in place
        assert "seven geese" not in place
    assert "seven geese" not in mail.body
    assert "It asks for a passphrase" in mail.body
    assert Client().post(f"/p/{token}/").status_code == 403
    assert Client().post(f"/p/{token}/", {"passphrase": "seven geese"}).status_code == 200


def test_a_second_try_mails_the_same_link(on_hub: Peer, admin_browser: Client, mail_server: MailServer) -> None:
    with override_settings(**smtp_settings(CLOSED_PORT)):
        ask(admin_browser, on_hub)
        send_what_waits()
    digest = ProfileLink.objects.get().digest
    assert "It is tried again every minute" in page_of(admin_browser, on_hub)
    QueuedMail.objects.update(claimed_at=timezone.now() - timedelta(minutes=2))
    with override_settings(**mail_server.settings):
        send_what_waits()
        [(recipient, _text)] = mail_server.received
        assert ProfileLink.objects.get().digest == digest
        assert f"Mailed to {recipient}" in page_of(admin_browser, on_hub)


def test_what_becomes_of_the_mail_is_said(admin_browser: Client, on_hub: Peer, mailoutbox: list[EmailMessage]) -> None:
    assert "Share link</h2>" not in page_of(admin_browser, on_hub)
    ask(admin_browser, on_hub)
    assert "is on its way." in page_of(admin_browser, on_hub)
    path = link_in(str(Mailbox(mailoutbox)[0].body))
    assert "Mailed to" in page_of(admin_browser, on_hub)
    assert "It was not opened yet" in page_of(admin_browser, on_hub)
    Client().post(path)
    assert "It was opened." in page_of(admin_browser, on_hub)


def test_staff_cancel_the_mail(admin_browser: Client, on_hub: Peer) -> None:
    ask(admin_browser, on_hub)
    cancel_mails(QueuedMail.objects.all(), by=BY)
    assert "cancelled it" in page_of(admin_browser, on_hub)


def test_it_is_in_the_persons_language(
    admin_browser: Client, on_hub: Peer, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert on_hub.member is not None
    on_hub.member.user.language = "de"
    on_hub.member.user.save()
    ask(admin_browser, on_hub)
    monkeypatch.setattr("vpn.actions.profiles.mailed_link.render_to_string", lambda *_: get_language())
    with override_settings(LANGUAGES=[("en", "English"), ("de", "Deutsch")]):
        assert Mailbox(mailoutbox)[0].body == "de\n"


def test_the_journal_names_who_mailed_it_to_whom(
    admin_browser: Client, admin: Membership, on_hub: Peer, mailoutbox: list[EmailMessage]
) -> None:
    ask(admin_browser, on_hub)
    assert len(Mailbox(mailoutbox)) == 1
    shared = JournalEntry.objects.get(code="peer.shared")
    assert on_hub.member is not None
    assert shared.details["mailed_to"] == on_hub.member.user.email
    assert shared.actor_name == admin.label
    assert JournalEntry.objects.filter(code="queuedmail.sent").count() == 1


def test_a_link_that_ended_is_not_mailed(admin_browser: Client, on_hub: Peer, mailoutbox: list[EmailMessage]) -> None:
    ask(admin_browser, on_hub)
    assert admin_browser.post(f"/peers/{on_hub.pk}/link/end/").status_code == 302
    assert list(Mailbox(mailoutbox)) == []
    assert not QueuedMail.objects.exists()
    assert "Share link</h2>" not in page_of(admin_browser, on_hub)


def test_it_is_not_mailed_to_an_address_that_is_not_the_persons_any_more(
    admin_browser: Client, on_hub: Peer, mailoutbox: list[EmailMessage]
) -> None:
    ask(admin_browser, on_hub)
    assert on_hub.member is not None
    User.objects.filter(pk=on_hub.member.user_id).update(email="new@example.org")
    assert list(Mailbox(mailoutbox)) == []
    assert not QueuedMail.objects.exists()
    assert not ProfileLink.objects.exists(), "nobody has it"
    assert JournalEntry.objects.filter(code="peer.share_link_revoked").count() == 1
    ask(admin_browser, on_hub)
    assert Mailbox(mailoutbox)[0].to == ["new@example.org"]


def test_what_changes_while_it_is_asked_for_counts(
    admin_browser: Client, on_hub: Peer, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is locked until Redis has said that the mailbox is not crowded."""

    def change(organization_id: UUID, mailbox: str) -> bool:
        assert on_hub.member is not None
        User.objects.filter(pk=on_hub.member.user_id).update(email="new@example.org")
        return False

    def mail_another(organization_id: UUID, mailbox: str) -> bool:
        ProfileLink.objects.create(peer=on_hub, digest="0" * 64, expires_at=soon, mailed_to=mailbox)
        return False

    def deactivate(organization_id: UUID, mailbox: str) -> bool:
        assert on_hub.member is not None
        User.objects.filter(pk=on_hub.member.user_id).update(is_active=False)
        return False

    soon = timezone.now() + timedelta(hours=1)
    crowded = "vpn.actions.profiles.mailed_link.is_crowded_mailbox"
    monkeypatch.setattr(crowded, change)
    ask(admin_browser, on_hub)
    assert ProfileLink.objects.get().mailed_to == "new@example.org"
    assert Mailbox(mailoutbox)[0].to == ["new@example.org"]
    ProfileLink.objects.all().delete()
    monkeypatch.setattr(crowded, mail_another)
    assert "A link was mailed a moment ago." in ask(admin_browser, on_hub)
    assert ProfileLink.objects.get().digest == "0" * 64
    ProfileLink.objects.all().delete()
    monkeypatch.setattr(crowded, deactivate)
    assert "This peer is disabled" in ask(admin_browser, on_hub)
    assert not ProfileLink.objects.exists()


def test_a_mailed_link_ends_by_hand_by_a_newer_one_by_keys_and_by_time(
    admin_browser: Client, on_hub: Peer, mailoutbox: list[EmailMessage]
) -> None:
    ends: tuple[Callable[[], object], ...] = (
        lambda: admin_browser.post(f"/peers/{on_hub.pk}/link/end/"),
        lambda: admin_browser.post(f"/peers/{on_hub.pk}/link/"),
        lambda: rotate_keys(on_hub, by=BY),
        lambda: ProfileLink.objects.update(expires_at=timezone.now()),
    )
    for number, end in enumerate(ends):
        ProfileLink.objects.all().delete()
        ask(admin_browser, on_hub)
        path = link_in(str(Mailbox(mailoutbox)[number].body))
        assert Client().get(path).status_code == 200
        end()
        settle(on_hub.instance)
        assert Client().get(path).status_code == 404, number


def test_the_link_waits_for_a_day(admin_browser: Client, on_hub: Peer) -> None:
    ask(admin_browser, on_hub)
    left = ProfileLink.objects.get().expires_at - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)


def test_a_mailbox_is_not_filled(admin_browser: Client, on_hub: Peer) -> None:
    ask(admin_browser, on_hub)
    assert "A link was mailed a moment ago." in ask(admin_browser, on_hub)
    assert QueuedMail.objects.count() == 1
    for _ in range(10):
        ProfileLink.objects.update(created_at=timezone.now() - timedelta(minutes=2))
        words = ask(admin_browser, on_hub)
    assert "This address was sent many links in the last hour." in words


def test_a_short_passphrase_is_refused(admin_browser: Client, on_hub: Peer) -> None:
    answer = admin_browser.post(f"/peers/{on_hub.pk}/link/mail/", {"passphrase": "short"})
    assert answer.status_code == 422
    assert b"A passphrase has 6 to 100 characters." in answer.content
    assert not QueuedMail.objects.exists()


def test_where_nothing_can_be_mailed_it_is_not_offered(
    admin_browser: Client, on_hub: Peer, instance: Instance, site: Site
) -> None:
    assert "Mail a link" in page_of(admin_browser, on_hub)
    router = make_site_peer(instance, site)
    assert "Mail a link" not in page_of(admin_browser, router)
    assert admin_browser.post(f"/peers/{router.pk}/link/mail/").status_code == 404
    with override_settings(EMAIL_CONFIGURED=False):
        assert "Mail a link" not in page_of(admin_browser, on_hub)
        assert "This portal sends no mail." in ask(admin_browser, on_hub)
    assert on_hub.member is not None
    User.objects.filter(pk=on_hub.member.user_id).update(is_active=False)
    assert "Mail a link" not in page_of(admin_browser, on_hub)
    assert "This peer is disabled" in ask(admin_browser, on_hub)
    assert not QueuedMail.objects.exists()


def test_a_program_has_it_mailed_and_reads_what_became_of_it(
    admin: Membership, on_hub: Peer, mailoutbox: list[EmailMessage]
) -> None:
    api = Caller.of(admin)
    path = f"/instances/{on_hub.instance_id}/peers/{on_hub.pk}/token"
    refused(api.get(path), 404)
    body = told(api.post(f"{path}/mail", {"passphrase": "seven geese"}), 202)
    assert on_hub.member is not None
    assert (body["mailed_to"], body["mail_state"]) == (on_hub.member.user.email, "waiting")
    assert body["asks_passphrase"] is True
    assert len(Mailbox(mailoutbox)) == 1
    assert told(api.get(path), 200)["mail_state"] == "sent"
    refused(api.post(f"{path}/mail", {}), 409)
    told(api.post(path), 201)
    assert told(api.get(path), 200)["mail_state"] is None
    refused(api.post(f"{path}/mail", {"passphrase": "short"}), 422)


def test_no_plain_digest_is_kept_of_a_request_with_a_passphrase(admin: Membership, on_hub: Peer) -> None:
    """Passphrases are short enough to be guessed from one."""
    api, body = Caller.of(admin), '{"passphrase": "seven geese"}'
    path = f"/instances/{on_hub.instance_id}/peers/{on_hub.pk}/token/mail"
    first = told(api.post(path, body, Idempotency_Key="k1"), 202)
    plain = f"POST /api/v1/vpn{path}\n{body}".encode()
    assert IdempotencyKey.objects.get().request_digest != hashlib.sha256(plain).hexdigest()
    with override_settings(SECRET_KEY="a newer one", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert told(api.post(path, body, Idempotency_Key="k1"), 202) == first
    refused(api.post(path, {"passphrase": "eight geese"}, Idempotency_Key="k1"), 409, "idempotency-key-reused")
