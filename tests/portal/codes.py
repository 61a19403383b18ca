"""An authenticator app and its owner, for tests."""

from __future__ import annotations

import re
import time

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.test import Client

from portal.models import FactorSecret, User
from tests.factories import PASSWORD

LOGIN = "/accounts/login/"
STEP = "/accounts/second-factor/"
ACCOUNT = "/accounts/"
APP = "/accounts/app/"
REMOVE = "/accounts/app/remove/"
CODES = "/accounts/recovery-codes/"


def code_of(key: str, *, later: int = 0) -> str:
    """The code that an app shows now, or `later` steps of 30 seconds."""
    step = int(time.time()) // 30 + later
    return str(totp.format_hotp_value(totp.hotp_value(key, step)))


def wrong_code(key: str) -> str:
    """A code that no present step has."""
    right = {code_of(key, later=step) for step in (-2, -1, 0, 1, 2)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in right)


def give_app(user: User) -> str:
    """Set up an authenticator app and recovery codes, as the page does; returns the app's key."""
    key = str(totp.generate_totp_secret())
    totp.TOTP.activate(user, key)
    RecoveryCodes.activate(user)
    return key


def recovery_codes(user: User) -> list[str]:
    """The recovery codes that are left."""
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    return list(row.wrap().get_unused_codes())


def forget_used() -> None:
    """As if the time of the codes that were used had passed."""
    FactorSecret.objects.update(used_step=0)


def enter_password(user: User, *, headers: dict[str, str] | None = None) -> Client:
    """A browser in which the password was entered."""
    browser = Client(headers=headers)
    browser.post(LOGIN, {"login": user.email, "password": PASSWORD})
    return browser


def enter_code(browser: Client, code: str) -> bool:
    """Enter a code as the second step; is the browser signed in then?"""
    browser.post(STEP, {"code": code})
    return is_signed_in(browser)


def is_signed_in(browser: Client) -> bool:
    """Does the account's page answer?"""
    return browser.get(ACCOUNT).status_code == 200


def shown_key(page: bytes) -> str:
    """The key that the page for a new app shows."""
    found = re.search(rb'id="key" value="([A-Z2-7]+)"', page)
    assert found
    return found[1].decode()
