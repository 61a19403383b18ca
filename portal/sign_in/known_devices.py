"""Browsers in which an account has signed in before: guessing from elsewhere does not lock them out.

The scheme is OWASP's "device cookies" (Slow Down Online Guessing Attacks with Device Cookies): a signed cookie names
the device and the accounts that know it. It gives no access and only selects the counter of an attempt. A mark belongs
to one account with its current password, so a new password makes all devices unknown.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac

from portal.models import User

COOKIE: Final = "known_device"
_SALT: Final = "portal.known-device"
_MAX_AGE: Final = 180 * 24 * 3600  # seconds
_PATH: Final = "/accounts/"
_MOST_ACCOUNTS: Final = 5


def known_device(request: HttpRequest, accounts: Sequence[User]) -> tuple[str, list[User]]:
    """Return the device's id, and those of `accounts` that have signed in with it before."""
    device, marks = _read(request)
    return device, [account for account in accounts if _mark(account) in marks]


def remember_device(request: HttpRequest, response: HttpResponseBase, account: User) -> None:
    """Set the cookie after the account has signed in here; the device keeps its id."""
    device, accounts = _read(request)
    mark = _mark(account)
    kept = [mark, *(each for each in accounts if each != mark)][:_MOST_ACCOUNTS]
    response.set_cookie(
        COOKIE,
        signing.dumps([device or secrets.token_urlsafe(12), kept], salt=_SALT),
        max_age=_MAX_AGE,
        path=_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _read(request: HttpRequest) -> tuple[str, list[str]]:
    try:
        held: Any = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_MAX_AGE)
        device, accounts = held
    except (signing.BadSignature, ValueError, TypeError):
        return "", []
    return str(device), [str(each) for each in accounts]


def _mark(account: User) -> str:
    """Return a digest of the account and its password hash. The cookie is signed, so the digest needs no key."""
    what = f"{account.pk} {account.password}"
    return salted_hmac(_SALT, what, secret="account", algorithm="sha256").hexdigest()[:32]  # noqa: S106
