"""The language of pages and mail: what the person chose, otherwise what the browser asks for.

Only complete languages are offered (`settings.LANGUAGES`). The API, the log, commands and exports are always English.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers

from portal.models import User

# Read by programs.
_ENGLISH: Final = ("/api/", "/healthz")


class LanguageMiddleware:
    """Activates the language of a page for the duration of its request. Does nothing if there is only one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Process the request in the person's language."""
        if not is_chosen() or request.path_info.startswith(_ENGLISH):
            return self.get_response(request)
        with translation.override(_language(request)):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        # Pages are private, but the browser's own cache must not show them in another language.
        patch_vary_headers(response, ("Accept-Language",))
        return response


def is_chosen() -> bool:
    """Return True if there is more than one language to choose from."""
    return len(settings.LANGUAGES) > 1


def language_of(user: User | None) -> str:
    """The language of mail to an account: what it chose, if that is offered; otherwise English."""
    chosen = user.language if user is not None else ""
    return chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def in_language_of(user: User | None) -> AbstractContextManager[None]:
    """Translate within this context for the recipient of a mail."""
    return translation.override(language_of(user))


def in_english() -> AbstractContextManager[None]:
    """Leave texts within this context as programs read them."""
    return translation.override(settings.LANGUAGE_CODE)


def _language(request: HttpRequest) -> str:
    # Without a session's cookie, nothing is read.
    if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User) and request.user.language:
        return language_of(request.user)
    return translation.get_language_from_request(request)
