"""What the database holds of sessions opens none."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as PlainStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from portal.models import Membership
from portal.web.sessions import SessionStore
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
HOME = "/my/"


def browser_with(cookie: str) -> Client:
    """A browser that sends this session cookie."""
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = cookie
    return browser


@pytest.fixture
def owner(member: Membership) -> Client:
    """A browser that signed in on the page."""
    browser = Client()
    assert browser.post("/accounts/login/", {"login": member.user.email, "password": PASSWORD}).status_code == 302
    assert browser.get(HOME).status_code == 200
    return browser


def cookie_of(browser: Client) -> str:
    """The session cookie that a browser has."""
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


def test_a_stolen_row_is_no_cookie(owner: Client) -> None:
    row = Session.objects.get()
    assert row.session_key != cookie_of(owner)
    assert cookie_of(owner) not in f"{row.session_key} {row.session_data} {row.get_decoded()}"
    assert browser_with(row.session_key).get(HOME).status_code == 302
    assert browser_with(cookie_of(owner)).get(HOME).status_code == 200


def test_a_session_lasts_over_changes_and_ends_with_signing_out(owner: Client, member: Membership) -> None:
    cookie = cookie_of(owner)
    owner.post("/organization/", {"organization": str(member.organization_id)})
    assert (cookie_of(owner), Session.objects.count()) == (cookie, 1)
    owner.post("/accounts/logout/")
    assert browser_with(cookie).get(HOME).status_code == 302


def test_signing_in_takes_a_new_session(owner: Client, member: Membership) -> None:
    """Whoever planted a cookie before has nothing of it (session fixation)."""
    planted = SessionStore()
    planted["was"] = "here"
    planted.create()
    key = str(planted.session_key)
    browser = browser_with(key)
    browser.post("/accounts/login/", {"login": member.user.email, "password": PASSWORD})
    assert cookie_of(browser) != key
    assert not SessionStore().exists(key)
    assert browser_with(key).get(HOME).status_code == 302


def test_a_cookie_that_names_no_session_is_forgotten() -> None:
    store = SessionStore("x" * 32)
    assert store.load() == {}
    assert store.session_key is None


def test_who_was_signed_in_before_the_change_stays_so(member: Membership, owner: Client) -> None:
    """As the migration finds them: rows by the key itself."""
    plain = PlainStore()
    plain.update(SessionStore(cookie_of(owner)).load())
    plain.create()
    Session.objects.exclude(session_key=plain.session_key).delete()
    assert browser_with(str(plain.session_key)).get(HOME).status_code == 302
    import_module("portal.migrations.0010_session_digests").digest_sessions(apps, connection.schema_editor())
    assert browser_with(str(plain.session_key)).get(HOME).status_code == 200
