"""An admin sets up a real sign-in provider; a member connects it and signs in by it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from portal.configuration.networks import parse_networks
from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import PASSWORD
from tests.portal.providers import real_provider

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


def allow(page: Page, subject: str) -> None:
    """Sign in on the provider's page, without the style that it has from elsewhere."""
    page.locator("input[name=sub]").fill(subject)
    page.get_by_role("button", name="Authorize").click()


def fill_in(page: Page, issuer: str) -> None:
    """Set the provider up, and leave by "Try it"."""
    page.goto("/settings/sign-in/")
    for label, text in {"Name on the button": "Acme account", "Issuer": issuer, "Client ID": "portal"}.items():
        page.get_by_label(label).fill(text)
    page.get_by_label("Client secret").fill("a secret of the client")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Try it").click()


def test_a_provider_is_set_up_connected_and_used(
    visit: Visit,
    live_server: LiveServer,
    transactional_db: None,
    admin: Membership,
    member: Membership,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    settings.PUBLIC_URL = live_server.url
    settings.SIGN_IN_PROVIDER_NETWORKS = parse_networks("127.0.0.0/8")
    with real_provider() as issuer:
        boss, page, fresh = visit(admin.user), visit(), visit()
        for tab in (boss, page, fresh):
            tab.route(re.compile("^https:"), lambda route: route.abort())
        camera = Camera(boss)
        fill_in(boss, issuer)
        allow(boss, "boss")
        expect(boss.get_by_text("It works")).to_be_visible()
        camera.look("provider-settings")
        boss.get_by_role("button", name="Switch on").click()
        expect(boss.get_by_text("Sign-in is switched on.")).to_be_visible()

        theirs = Camera(page)
        page.goto("/sign-in/acme/")
        page.get_by_role("link", name="Sign in by Acme account").click()
        allow(page, "anna")
        page.get_by_role("link", name="Sign in to connect").click()
        page.get_by_label("Email").fill(member.user.email)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Connect Acme account?")).to_be_visible()
        theirs.look("provider-connect")
        page.get_by_role("button", name="Connect").click()
        expect(page).to_have_url(re.compile("/my/"))
        last = Camera(fresh)
        fresh.goto("/sign-in/acme/go/")
        allow(fresh, "anna")
        expect(fresh).to_have_url(re.compile("/my/"))
        fresh.goto("/accounts/")
        fresh.get_by_role("button", name="Sign out, and sign in otherwise").click()
        expect(fresh.get_by_role("link", name="Sign in by Acme account")).to_be_visible()
        last.look("sign-in-with-provider")
    # The provider's own page is not ours to look at.
    found = [one for one in (*camera.complaints, *theirs.complaints, *last.complaints) if issuer not in one]
    assert found == []
