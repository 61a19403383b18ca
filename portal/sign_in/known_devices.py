"""Browsers in which an account was signed in to before: guessing from elsewhere does not shut them out.

The scheme is OWASP's "device cookies" (Slow Down Online Guessing Attacks with Device Cookies): a signed cookie names
the device and the accounts that it is known for. It opens nothing. It only says by what an attempt is counted. An
address may have several accounts, so that each mark is that of one account with the password that it has: a new
password makes the devices unknown that the former one made known.
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
    """The device's id, and those of these accounts that were signed in to with it before."""
    device, marks = _read(request)
    return device, [account for account in accounts if _mark(account) in marks]


def remember_device(request: HttpRequest, response: HttpResponseBase, account: User) -> None:
    """Note in the answer that the account was signed in to here; the device keeps its id."""
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
    """Names an account with its password, and tells neither; the cookie's signature covers it, so it needs no key."""
    what = f"{account.pk} {account.password}"
    return salted_hmac(_SALT, what, secret="account", algorithm="sha256").hexdigest()[:32]  # noqa: S106
