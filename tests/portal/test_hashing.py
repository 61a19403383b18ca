"""Hashing a password takes half a second: never while a transaction keeps others from writing."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from pytest_django import Settings

from portal.actions.member import add_member
from portal.actions.sign_in_link import one_time_link
from portal.models import ApiToken, Membership, Organization, Role, User
from tests.factories import BY
from tests.portal.mailbox import Mailbox

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a brand new password"
NEW = {"password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each hash of the password, whether it was made within a transaction."""
    found: list[bool] = []
    encode = MD5PasswordHasher.encode

    def note(self: MD5PasswordHasher, password: str, salt: str) -> Any:
        if password == PASSWORD:
            found.append(connection.in_atomic_block)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", note)
    return found


def test_a_link_from_hand_to_hand(within: list[bool], organization: Organization) -> None:
    guest = add_member(organization, email="guest@example.org", role=Role.MEMBER, by=BY)
    browser = Client()
    browser.get(urlsplit(one_time_link(guest)).path)
    assert browser.post("/accounts/link/", NEW)["Location"] == "/my/"
    assert User.objects.get(pk=guest.user_id).check_password(PASSWORD)
    assert within
    assert not any(within)


def test_a_reset_by_mail_which_ends_tokens(
    within: list[bool], member: Membership, settings: Settings, mailoutbox: list[EmailMessage]
) -> None:
    settings.EMAIL_CONFIGURED = True
    ApiToken.issue(member)
    browser = Client()
    browser.post("/accounts/password/reset/", {"email": member.user.email})
    found = re.search(r"https?://\S+", str(Mailbox(mailoutbox)[0].body))
    assert found
    page = browser.get(urlsplit(found[0]).path)
    assert browser.post(page["Location"], NEW).status_code == 302
    assert User.objects.get(pk=member.user_id).check_password(PASSWORD)
    assert not ApiToken.objects.exists()
    assert within
    assert not any(within)


def test_signing_up(within: list[bool], settings: Settings) -> None:
    settings.ALLOW_SIGNUP = True
    answer = Client().post("/accounts/signup/", {"email": "new@example.org", **NEW})
    assert answer.status_code == 302
    assert Membership.objects.get(user__email="new@example.org").is_admin
    assert within
    assert not any(within)
