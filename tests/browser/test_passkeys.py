"""A person secures their account: a passkey on a virtual authenticator, an app with its codes, a recovery code."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import CDPSession, Page, expect

from portal.models import FactorSecret, Membership
from tests.browser.conftest import Camera
from tests.factories import PASSWORD
from tests.portal.codes import code_of

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]
# A phone or computer with a fingerprint reader, which keeps passkeys.
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def plug_in(page: Page) -> tuple[CDPSession, str]:
    """Give the tab a virtual authenticator."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    added = session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    return session, added["authenticatorId"]


def enter_password(page: Page, member: Membership) -> None:
    """Fill in the sign-in page."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(member.user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    """Sign out on the page for that."""
    page.goto("/accounts/logout/")
    page.locator("main").get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_a_passkey_an_app_and_a_recovery_code(visit: Visit, transactional_db: None, member: Membership) -> None:
    page = visit()
    camera = Camera(page)
    authenticator, identity = plug_in(page)
    enter_password(page, member)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto("/accounts/")
    camera.look("account-password-only")

    page.get_by_role("link", name="Add passkey").click()
    camera.look("passkey-add")
    page.get_by_label("Name").fill("Anna's phone")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_text("they are not shown again")).to_be_visible()
    camera.look("recovery-codes")
    codes = page.locator(".recovery-codes li").all_text_contents()
    assert len(codes) == 10
    page.goto("/accounts/")
    page.get_by_role("link", name="Rename Anna's phone").click()
    page.get_by_label("Name").fill("Blue phone")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Passkey “Blue phone”")).to_be_visible()
    camera.look("account-passkey")

    sign_out(page)
    camera.look("sign-in")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("/my/"))
    sign_out(page)
    enter_password(page, member)
    camera.look("second-step-passkey")
    page.get_by_role("button", name="Use passkey").click()
    expect(page).to_have_url(re.compile("/my/"))

    page.goto("/accounts/app/")
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    camera.look("app-add")
    page.get_by_text("Enter the key by hand").click()
    key = page.locator("#key").input_value()
    page.get_by_label("Code that the app shows").fill(code_of(key))
    page.get_by_role("button", name="Add app").click()
    expect(page.get_by_text("The authenticator app is added")).to_be_visible()

    sign_out(page)
    enter_password(page, member)
    camera.look("second-step-app")
    page.get_by_label("Code").fill(code_of(key, later=1))  # the code that set it up was used
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/my/"))
    assert FactorSecret.objects.filter(used_step__gt=0).count() == 1

    sign_out(page)
    enter_password(page, member)
    page.get_by_label("Code").fill(codes[0].strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/my/"))
    sign_out(page)
    enter_password(page, member)
    page.get_by_label("Code").fill(codes[0].strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("wrong, or was used before")).to_be_visible()

    # An authenticator that has no passkey of this account any more.
    authenticator.send("WebAuthn.clearCredentials", {"authenticatorId": identity})
    page.get_by_role("button", name="Use passkey").click()
    expect(page.get_by_text("The passkey was not used")).to_be_visible()
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert camera.complaints == []


def test_an_app_is_set_up_and_used_without_javascript(visit: Visit, transactional_db: None, member: Membership) -> None:
    page = visit(java_script_enabled=False)
    enter_password(page, member)
    page.goto("/accounts/app/")
    page.get_by_text("Enter the key by hand").click()
    key = page.locator("#key").input_value()
    page.get_by_label("Code that the app shows").fill(code_of(key))
    page.get_by_role("button", name="Add app").click()
    expect(page.locator(".recovery-codes li")).to_have_count(10)
    sign_out(page)
    enter_password(page, member)
    page.get_by_label("Code").fill(code_of(key, later=1))  # the code that set it up was used
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/my/"))
