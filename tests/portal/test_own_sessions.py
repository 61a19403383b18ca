"""Where an account is signed in: shown to its owner, and ended one by one or all others at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import BrowserSession, Membership
from portal.user_agent import browser_name
from tests.factories import PASSWORD
from tests.portal.codes import ACCOUNT, APP, code_of, enter_password, give_app, is_signed_in, shown_key

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18 Safari/604"
ALL = "/accounts/sessions/end/"


@pytest.fixture
def two(member: Membership) -> tuple[Client, Client]:
    """Two browsers of one person."""
    return tuple(enter_password(member.user, headers={"user-agent": agent}) for agent in (FIREFOX, SAFARI))  # type: ignore[return-value]


def end_page(session: BrowserSession) -> str:
    """The address that ends a session."""
    return f"/accounts/sessions/{session.pk}/end/"


def test_the_page_lists_browser_address_and_when(two: tuple[Client, Client]) -> None:
    page = two[0].get(ACCOUNT).content.decode()
    assert page.count("This browser") == 1
    for shown in ("Firefox on Linux", "Safari on iPhone", "127.0.0.1"):
        assert shown in page


def test_one_is_ended_at_once(two: tuple[Client, Client]) -> None:
    here, other = two
    assert here.post(end_page(BrowserSession.objects.get(user_agent=SAFARI)))["Location"] == ACCOUNT
    assert not is_signed_in(other)
    assert is_signed_in(here)
    assert "Safari" not in here.get(ACCOUNT).content.decode()


def test_all_others_are_ended_at_once(two: tuple[Client, Client], member: Membership) -> None:
    here, other = two
    third = enter_password(member.user)
    here.post(ALL)
    assert [is_signed_in(browser) for browser in (here, other, third)] == [True, False, False]


def test_nobody_ends_anothers_session(two: tuple[Client, Client], admin: Membership) -> None:
    browser = enter_password(admin.user)
    assert browser.post(end_page(BrowserSession.objects.get(user_agent=SAFARI))).status_code == 404
    browser.post(ALL)
    assert [is_signed_in(each) for each in two] == [True, True]
    assert browser.get(ALL).status_code == 405


def test_ending_sessions_is_limited(two: tuple[Client, Client]) -> None:
    answers = [two[0].post(ALL).status_code for _ in range(31)]
    assert answers == [302] * 30 + [429]


def test_a_row_of_a_session_opens_nothing(two: tuple[Client, Client]) -> None:
    cookies = {browser.cookies["sessionid"].value for browser in two}
    assert not cookies & set(BrowserSession.objects.values_list("digest", flat=True))
    assert BrowserSession.objects.filter(digest__in=Session.objects.values("session_key")).count() == 2


def test_signing_out_and_a_new_password_take_them_off_the_list(two: tuple[Client, Client]) -> None:
    here, other = two
    other.post("/accounts/logout/")
    assert not BrowserSession.objects.filter(user_agent=SAFARI).exists()
    new = {"oldpassword": PASSWORD, "password1": "a brand new password", "password2": "a brand new password"}
    here.post("/accounts/password/change/", new)
    assert here.get(ACCOUNT).content.decode().count("This browser") == 1
    assert BrowserSession.objects.count() == 1


def test_the_first_factor_ends_browsers_of_the_password_alone(
    two: tuple[Client, Client], django_capture_on_commit_callbacks: Any
) -> None:
    here, other = two
    key = shown_key(here.get(APP).content)
    with django_capture_on_commit_callbacks(execute=True):
        here.post(APP, {"code": code_of(key)})
    assert is_signed_in(here)
    assert not is_signed_in(other)


def test_a_reset_factor_ends_all_of_them(two: tuple[Client, Client], admin: Membership, member: Membership) -> None:
    give_app(member.user)
    enter_password(admin.user).post(f"/people/{member.pk}/second-factor/")
    assert not any(is_signed_in(browser) for browser in two)


def test_a_session_is_noted_once_a_minute(two: tuple[Client, Client]) -> None:
    here = two[0]
    BrowserSession.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        here.get("/my/")
    assert not [query for query in queries if "portal_browsersession" in query["sql"]]
    cache.clear()
    here.get("/my/")
    recent = BrowserSession.objects.filter(seen_at__gt=timezone.now() - timedelta(minutes=1))
    assert recent.get().user_agent == FIREFOX


def test_one_that_has_expired_is_not_listed(two: tuple[Client, Client]) -> None:
    ended = BrowserSession.objects.get(user_agent=SAFARI)
    Session.objects.filter(session_key=ended.digest).update(expire_date=timezone.now())
    assert "Safari" not in two[0].get(ACCOUNT).content.decode()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.9", "An unknown browser"),
        ("<script>", "An unknown browser"),
        ("", "An unknown browser"),
    ],
)
def test_browsers_have_names(agent: str, name: str) -> None:
    assert browser_name(agent) == name
