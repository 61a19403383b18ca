"""The language of pages and mail: the person's, or the browser's; programs always read English."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from portal.actions.notice_mail import queue_notice
from portal.models import JournalEntry, Membership, Principal
from portal.web.language import language_of
from tests.fixtures import signed_in
from tests.portal.codes import ACCOUNT
from tests.portal.mailbox import Mailbox

pytestmark = pytest.mark.django_db
CHOOSE = "/accounts/language/"
GERMAN = {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.fixture
def one(settings: Settings) -> None:
    """Offer English alone."""
    settings.LANGUAGES = [("en", "English")]


@pytest.mark.usefixtures("one")
def test_with_one_language_there_is_no_choice(member: Membership) -> None:
    browser = signed_in(member.user)
    page = browser.get(ACCOUNT, headers=GERMAN)
    assert b'<html lang="en">' in page.content
    assert CHOOSE.encode() not in page.content
    assert "Accept-Language" not in page.headers.get("Vary", "")
    assert browser.post(CHOOSE, {"language": "de"}).status_code == 404


def test_the_browser_decides_until_the_person_chooses(member: Membership) -> None:
    browser = signed_in(member.user)
    page = browser.get(ACCOUNT, headers=GERMAN)
    assert b'<html lang="de">' in page.content
    assert page["Content-Language"] == "de"
    assert "Accept-Language" in page["Vary"]
    assert b'<html lang="de">' in Client().get("/accounts/login/", headers=GERMAN).content
    assert browser.post(CHOOSE, {"language": "en"})["Location"] == ACCOUNT
    assert b'<html lang="en">' in browser.get(ACCOUNT, headers=GERMAN).content
    browser.post(CHOOSE, {"language": ""})
    assert b'<html lang="de">' in browser.get(ACCOUNT, headers=GERMAN).content
    codes = JournalEntry.objects.filter(object_id=str(member.user.pk)).values_list("code", flat=True)
    assert list(codes).count("user.language_chosen") == 2


def test_an_unknown_language_is_not_chosen(member: Membership) -> None:
    assert signed_in(member.user).post(CHOOSE, {"language": "xx"}).status_code == 404
    member.user.refresh_from_db()
    assert member.user.language == ""


def test_programs_read_english(admin: Membership) -> None:
    admin.user.language = "de"
    admin.user.save(update_fields=["language"])
    browser = signed_in(admin.user)
    answer = browser.get("/api/v1/instances/", headers=GERMAN)
    assert "Content-Language" not in answer.headers
    export = browser.post("/activity/export/", {"format": "csv"}, headers=GERMAN)
    content = export.getvalue().decode()
    assert content.startswith("at,actor_kind,")
    assert translation.get_language() == "en"


def test_mail_is_in_the_recipients_language(
    member: Membership, settings: Settings, mailoutbox: list[EmailMessage]
) -> None:
    settings.EMAIL_CONFIGURED = True
    member.user.language = "de"
    member.user.save(update_fields=["language"])
    queue_notice(member.user, "password_changed", by=Principal.portal("a test"))
    patched = "portal.actions.notice_mail.render_to_string"
    with patch(patched, side_effect=lambda *_: translation.get_language()):
        assert [mail.body for mail in Mailbox(mailoutbox)] == ["de"]


@pytest.mark.usefixtures("one")
def test_a_language_that_is_not_offered_any_more_is_english(member: Membership) -> None:
    member.user.language = "de"
    assert language_of(member.user) == "en"
