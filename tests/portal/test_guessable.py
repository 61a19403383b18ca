"""Passwords that leaked, or are close to one that did, are refused wherever one is set, without asking anyone."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
import zxcvbn
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from portal.actions.member import add_member
from portal.actions.sign_in_link import one_time_link
from portal.models import Membership, Organization, Role, User
from tests.factories import BY, PASSWORD
from tests.portal.codes import enter_password

GUESSABLE = (
    "password1234", "Passw0rd2024!", "qwertyuiop1", "iloveyou12345", "abcdefghij", "letmein!letmein!", "mmmmmmmmmmmm",
    "Frankfurt2025", "trustno1trustno1", "1q2w3e4r5t6y",
)  # fmt: skip


@pytest.mark.parametrize("password", GUESSABLE)
def test_leaked_ones_and_their_kin_are_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password)


def test_so_are_those_made_of_the_persons_own_name() -> None:
    anna = User(email="anna.schmidt@acme.example", name="Anna Schmidt")
    with pytest.raises(ValidationError) as refused:
        validate_password("schmidtacme1", anna)
    assert "easy to guess" in str(refused.value)
    validate_password("schmidtacme1 twelve ghosts", anna)


@pytest.mark.parametrize("password", [PASSWORD, "a brand new password", "xK9#mQ2$vL", "vierzig blaue Enten im Regen"])
def test_good_ones_are_accepted_and_nobody_is_asked(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    validate_password(password)


def test_of_a_very_long_one_only_the_beginning_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a comparison grows with the square of the length."""
    compared: list[int] = []
    compare = zxcvbn.zxcvbn

    def note(text: str, **known: object) -> object:
        compared.append(len(text))
        return compare(text, **known)

    monkeypatch.setattr(zxcvbn, "zxcvbn", note)
    with pytest.raises(ValidationError):
        validate_password("x" * 100_000)
    assert compared == [64]


@pytest.mark.django_db
def test_every_page_that_sets_one_refuses_it(organization: Organization, member: Membership) -> None:
    weak = {"password1": "Passw0rd2024!", "password2": "Passw0rd2024!"}
    page = enter_password(member.user).post("/accounts/password/change/", {"oldpassword": PASSWORD, **weak})
    assert b"easy to guess" in page.content
    invited = add_member(organization, email="new@example.org", role=Role.MEMBER, by=BY)
    browser = Client()
    browser.get(urlsplit(one_time_link(invited)).path)
    assert b"easy to guess" in browser.post("/accounts/link/", weak).content
    invited.user.refresh_from_db()
    assert not invited.user.has_usable_password()
