"""A second factor: set up, asked for, used once, and removed by its owner alone."""

from __future__ import annotations

import time

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.test import Client
from pytest_django import Settings

from portal.actions.sign_in_link import one_time_link
from portal.models import FactorSecret, Membership
from portal.reseal import reseal_all
from tests.factories import PASSWORD
from tests.fixtures import signed_in
from tests.portal.codes import (
    ACCOUNT,
    APP,
    CODES,
    LOGIN,
    REMOVE,
    STEP,
    code_of,
    enter_code,
    enter_password,
    forget_used,
    give_app,
    is_signed_in,
    recovery_codes,
    shown_key,
    wrong_code,
)
from tests.portal.test_rotation import found_in_tables

pytestmark = pytest.mark.django_db
CONFIRM_CODE, CONFIRM_PASSWORD = "/accounts/confirm/code/", "/accounts/confirm/password/"


def test_an_app_is_set_up_with_its_first_code_and_asked_for_from_then_on(member: Membership) -> None:
    browser = enter_password(member.user)
    key = shown_key(browser.get(APP).content)
    wrong = browser.post(APP, {"code": wrong_code(key)})
    assert b"This code is wrong" in wrong.content
    assert shown_key(wrong.content) == key
    assert browser.post(APP, {"code": code_of(key)})["Location"] == CODES
    assert b"An app on your phone" not in browser.get(ACCOUNT).content
    other = enter_password(member.user)
    assert not enter_code(other, code_of(key)), "the code that set it up was used"
    forget_used()
    assert not is_signed_in(other)
    assert other.get("/my/").status_code == 302
    assert enter_code(other, code_of(key))


def test_the_password_alone_opens_nothing(member: Membership) -> None:
    give_app(member.user)
    browser = Client()
    answer = browser.post(LOGIN, {"login": member.user.email, "password": PASSWORD, "next": "/people/"})
    assert answer["Location"] == STEP
    for page in ("/my/", ACCOUNT, APP, CODES, "/accounts/password/change/"):
        assert browser.get(page).status_code == 302, page


def test_signing_in_goes_on_to_the_page_that_was_asked_for(admin: Membership) -> None:
    key = give_app(admin.user)
    browser = Client()
    browser.post(LOGIN, {"login": admin.user.email, "password": PASSWORD, "next": "/people/"})
    assert browser.post(STEP, {"code": code_of(key)})["Location"] == "/people/"


def test_who_is_asked_for_a_code_may_start_again(member: Membership) -> None:
    give_app(member.user)
    browser = enter_password(member.user)
    assert b"Enter your code" in browser.get(STEP).content
    browser.post("/accounts/logout/")
    assert browser.get(STEP)["Location"] == LOGIN
    assert b"Enter your code" not in browser.get(LOGIN).content


def test_a_code_signs_in_once(member: Membership) -> None:
    key = give_app(member.user)
    code = code_of(key)
    assert enter_code(enter_password(member.user), code)
    again = enter_password(member.user)
    assert b"wrong, or was used before" in again.post(STEP, {"code": code}).content
    assert not is_signed_in(again)


def test_an_older_code_than_the_one_that_was_used_is_refused(member: Membership) -> None:
    key = give_app(member.user)
    assert enter_code(enter_password(member.user), code_of(key, later=1))
    assert not enter_code(enter_password(member.user), code_of(key))


def test_the_neighbouring_codes_are_accepted_and_no_others(member: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    key, now = give_app(member.user), time.time()
    # A step of 30 s that ended between a code and its check would make it one step older.
    monkeypatch.setattr("time.time", lambda: now)
    for later, accepted in ((-1, True), (1, True), (-3, False), (3, False)):
        forget_used()
        assert enter_code(enter_password(member.user), code_of(key, later=later)) is accepted


def test_a_recovery_code_signs_in_once(member: Membership) -> None:
    give_app(member.user)
    first, second, *_ = recovery_codes(member.user)
    assert enter_code(enter_password(member.user), f"{first[:4]} {first[4:]}")
    assert not enter_code(enter_password(member.user), first)
    assert enter_code(enter_password(member.user), second)
    assert len(recovery_codes(member.user)) == 8


def test_recovery_codes_are_shown_once(member: Membership) -> None:
    browser = enter_password(member.user)
    key = shown_key(browser.get(APP).content)
    browser.post(APP, {"code": code_of(key)})
    code = recovery_codes(member.user)[0]
    shown = f"{code[:4]} {code[4:]}".encode()
    assert shown in browser.get(CODES).content
    again = browser.get(CODES).content
    assert shown not in again
    assert code.encode() not in again
    assert b"10 of 10 codes are left" in again


def test_new_recovery_codes_end_the_old_ones(member: Membership) -> None:
    key = give_app(member.user)
    old = recovery_codes(member.user)
    browser = enter_password(member.user)
    assert enter_code(browser, code_of(key))
    assert browser.post("/accounts/recovery-codes/new/")["Location"] == CODES
    assert not set(old) & set(recovery_codes(member.user))
    assert not enter_code(enter_password(member.user), old[0])


def test_recovery_codes_are_for_who_has_a_factor(member: Membership) -> None:
    browser = enter_password(member.user)
    assert browser.get(CODES).status_code == 404
    assert b"Set up a second factor first" in browser.post("/accounts/recovery-codes/new/").content


def test_guessing_codes_is_slowed_down_and_a_known_device_is_not_locked_out(member: Membership) -> None:
    key = give_app(member.user)
    known = enter_password(member.user)
    assert enter_code(known, code_of(key))
    known.post("/accounts/logout/")
    forget_used()
    thief = enter_password(member.user)
    for _ in range(5):
        assert not enter_code(thief, wrong_code(key))
    assert b"Too many wrong codes" in thief.post(STEP, {"code": code_of(key)}).content
    elsewhere = enter_password(member.user)
    assert not enter_code(elsewhere, code_of(key))
    known.post(LOGIN, {"login": member.user.email, "password": PASSWORD})
    assert enter_code(known, code_of(key))


def test_codes_are_limited_while_redis_is_away(member: Membership, settings: Settings) -> None:
    nowhere = "unix:///nonexistent/redis.sock"
    settings.CACHES = {"default": {"BACKEND": "portal.web.cache.TolerantRedisCache", "LOCATION": nowhere}}
    key = give_app(member.user)
    thief = enter_password(member.user)
    for _ in range(5):
        assert not enter_code(thief, wrong_code(key))
    assert not enter_code(thief, code_of(key))


def test_an_app_is_removed_after_confirming(member: Membership) -> None:
    key = give_app(member.user)
    browser = enter_password(member.user)
    assert enter_code(browser, code_of(key))
    browser.post(REMOVE)
    assert not Authenticator.objects.exists()
    assert not FactorSecret.objects.exists()
    assert is_signed_in(enter_password(member.user))


@pytest.mark.parametrize(
    ("method", "page"),
    [
        ("get", CODES),
        *((method, page) for method in ("get", "post") for page in (APP, REMOVE, "/accounts/recovery-codes/new/")),
    ],
)
def test_a_browser_that_was_left_open_changes_no_factor(member: Membership, page: str, method: str) -> None:
    """`signed_in` has a session without a recent sign-in."""
    give_app(member.user)
    if page == APP:
        Authenticator.objects.all().delete()
    before = list(Authenticator.objects.order_by("pk").values())
    answer = getattr(signed_in(member.user), method)(page)
    confirm = CONFIRM_PASSWORD if page == APP else CONFIRM_CODE
    assert answer["Location"].startswith(confirm), answer["Location"]
    assert list(Authenticator.objects.order_by("pk").values()) == before


def test_the_password_does_not_suffice_where_there_is_a_second_factor(member: Membership) -> None:
    key = give_app(member.user)
    browser = signed_in(member.user)
    answer = browser.post(CONFIRM_PASSWORD, {"password": PASSWORD})
    assert answer["Location"].startswith(CONFIRM_CODE)
    assert browser.get(REMOVE).status_code == 302
    assert browser.post(f"{CONFIRM_CODE}?next={REMOVE}", {"code": wrong_code(key)}).status_code == 200
    assert browser.post(f"{CONFIRM_CODE}?next={REMOVE}", {"code": code_of(key)})["Location"] == REMOVE
    assert browser.get(REMOVE).status_code == 200


def test_without_a_factor_the_password_confirms(member: Membership) -> None:
    browser = signed_in(member.user)
    assert b"The password is wrong" in browser.post(CONFIRM_PASSWORD, {"password": "wrong"}).content
    assert browser.get(APP).status_code == 302
    assert browser.post(f"{CONFIRM_PASSWORD}?next={APP}", {"password": PASSWORD})["Location"] == APP
    assert browser.get(APP).status_code == 200


def test_confirming_is_limited(member: Membership) -> None:
    browser = signed_in(member.user)
    for _ in range(10):
        browser.post(CONFIRM_PASSWORD, {"password": "wrong"})
    assert browser.post(CONFIRM_PASSWORD, {"password": PASSWORD}).status_code == 429
    assert browser.get(APP).status_code == 302


def test_the_database_holds_no_key_of_an_app_in_plain(member: Membership) -> None:
    browser = enter_password(member.user)
    key = shown_key(browser.get(APP).content)
    assert key not in str([row.get_decoded() for row in Session.objects.all()])
    browser.post(APP, {"code": code_of(key)})
    assert found_in_tables(key) == []
    for code in recovery_codes(member.user):
        assert found_in_tables(code) == []
    assert "totp_pending" not in str([row.get_decoded() for row in Session.objects.all()])


def test_secrets_are_sealed_anew_under_a_new_key(member: Membership, settings: Settings) -> None:
    key = give_app(member.user)
    code = recovery_codes(member.user)[0]
    [old] = settings.SECRET_KEYS
    settings.SECRET_KEYS = ["a-new-key-in-front-of-the-others-" * 2, old]
    assert reseal_all().resealed >= 2
    settings.SECRET_KEYS = settings.SECRET_KEYS[:1]
    assert enter_code(enter_password(member.user), code_of(key))
    assert enter_code(enter_password(member.user), code)


def test_a_new_password_by_a_link_does_not_go_past_the_second_factor(member: Membership) -> None:
    key = give_app(member.user)
    browser = Client()
    browser.get(one_time_link(member).removeprefix("http://localhost:8000"))
    data = {"password1": "a brand new password", "password2": "a brand new password"}
    assert browser.post("/accounts/link/", data)["Location"] == STEP
    assert not is_signed_in(browser)
    assert enter_code(browser, code_of(key))
