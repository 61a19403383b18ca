"""A mail that was asked for: the person's page says by itself what became of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from portal.models import Membership
from tests.browser.conftest import Camera
from tests.factories import an_admin, make_organization
from tests.portal.mailbox import send_what_waits

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_page_follows_a_mail_that_is_on_its_way(visit: Callable[..., Page], settings: Settings) -> None:
    settings.EMAIL_CONFIGURED = True
    page = visit(an_admin(make_organization()).user)
    camera = Camera(page)
    page.goto("/people/new/")
    page.get_by_label("Email").fill("guest@example.org")
    page.get_by_role("button", name="Add person").click()
    link = page.locator("#sign-in-link")
    expect(link).to_contain_text("A mail with it is on its way.")
    camera.look("mail-on-its-way")
    send_what_waits()
    expect(link).to_contain_text("Last mail:", timeout=60_000)
    expect(link).not_to_have_attribute("hx-get", "")
    Membership.objects.filter(user__email="guest@example.org").update(
        link_fault="The mail server did not take it (550)."
    )
    page.reload()
    expect(link).to_contain_text("The last mail did not go out. The mail server did not take it (550).")
    assert camera.complaints == []
