"""No account takes the portal's threads from others by asking for pages."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from portal.models import Membership
from tests.vpn.api.caller import Caller, told

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Three pages a minute, and a clock that stands 20 s before the end of one."""
    settings.PAGES_A_MINUTE = 3
    now = [1_000_000 * 60 + 40.0]
    monkeypatch.setattr("portal.web.minute_counts.time.time", lambda: now[0])
    return now


def test_an_account_that_asks_too_often_is_told_when_to_come_again(
    admin_browser: Client, auditor_browser: Client, clock: list[float]
) -> None:
    for _ in range(3):
        assert admin_browser.get("/people/").status_code == 200
    refused = admin_browser.get("/people/")
    assert (refused.status_code, refused["Retry-After"]) == (429, "20")
    assert b"wait 20 seconds" in refused.content
    sent = admin_browser.post("/people/new/", {"email": "guest@example.org", "role": "member"})
    assert b"Go back in your browser, where what you typed is still there" in sent.content
    assert auditor_browser.get("/people/").status_code == 200
    clock[0] += 20
    assert admin_browser.get("/people/").status_code == 200


def test_two_browsers_of_an_account_are_counted_together(admin_browser: Client, clock: list[float]) -> None:
    other = Client()
    other.cookies = admin_browser.cookies
    statuses = [browser.get("/people/").status_code for browser in (admin_browser, other) * 2]
    assert statuses == [200, 200, 200, 429]


def test_calls_of_the_api_and_pages_for_strangers_are_not_counted(admin: Membership) -> None:
    api = Caller.of(admin)
    for _ in range(5):
        told(api.get("/sites"), 200)
        assert Client().get("/accounts/login/").status_code == 200


def test_pages_go_on_without_the_cache(admin_browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> int:
        raise OSError

    monkeypatch.setattr("portal.web.minute_counts.cache.incr", fail)
    assert [admin_browser.get("/people/").status_code for _ in range(5)] == [200] * 5


def test_who_asks_for_mails_too_often_reads_it_on_a_page(settings: Settings) -> None:
    settings.EMAIL_CONFIGURED = True
    answers = [Client().post("/accounts/password/reset/", {"email": "known@example.org"}) for _ in range(8)]
    assert answers[-1].status_code == 429
    assert b"This was requested too often" in answers[-1].content
