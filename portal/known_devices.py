"""Browsers in which an account was signed in to before: guessing from elsewhere does not shut them out.

The scheme is OWASP's "device cookies" (Slow Down Online Guessing Attacks with Device Cookies): a signed cookie names
the device and the accounts that it is known for. It opens nothing. It only says by what an attempt is counted.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac

COOKIE: Final = "known_device"
_SALT: Final = "portal.known-device"
_MAX_AGE: Final = 180 * 24 * 3600  # seconds
_PATH: Final = "/accounts/"
_MOST_ACCOUNTS: Final = 5


def known_device(request: HttpRequest, email: str) -> str:
    """The device's id where this account was signed in to with it before, else ""."""
    device, accounts = _read(request)
    return device if _mark(email) in accounts else ""


def remember_device(request: HttpRequest, response: HttpResponseBase, email: str) -> None:
    """Note in the answer that the account was signed in to here; the device keeps its id."""
    device, accounts = _read(request)
    mark = _mark(email)
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


def _mark(email: str) -> str:
    """Names an account without its address; the cookie's signature covers it, so it needs no key of its own."""
    return salted_hmac(_SALT, email.strip().lower(), secret="account", algorithm="sha256").hexdigest()[:32]  # noqa: S106
