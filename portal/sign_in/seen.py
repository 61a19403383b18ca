"""Notes where each account is signed in, at most once a minute for each session."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.signals import user_logged_out
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from portal.models import BrowserSession, User
from portal.web.client_address import parse_address
from portal.web.sessions import digest_of

logger = logging.getLogger(__name__)
_EVERY: Final = 60  # seconds


class SeenMiddleware:
    """Notes the session of a request after its view, which may have signed in or taken a new session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on. A request without a session reads nothing, and a page never fails for this note."""
        response = self.get_response(request)
        key = request.session.session_key
        if key and isinstance(request.user, User) and cache.add(f"seen:{digest_of(key)}", 1, _EVERY):
            try:
                _note(request, request.user, digest_of(key))
            except DatabaseError as error:
                cache.delete(f"seen:{digest_of(key)}")  # the next request tries again
                logger.warning("A session was not noted: %s", type(error).__name__)
        return response


def connect() -> None:
    """Forget a session that signs out; called once, when the app is ready."""
    user_logged_out.connect(_forget, dispatch_uid="browser-session")


def _note(request: HttpRequest, user: User, digest: str) -> None:
    address = parse_address(request.META.get("REMOTE_ADDR", ""))
    seen: dict[str, Any] = {
        "user": user,
        "address": str(address) if address else None,
        "user_agent": request.META.get("HTTP_USER_AGENT", "")[:200],
        "seen_at": timezone.now(),
    }
    # One statement, also where two requests are the first.
    BrowserSession.objects.bulk_create(
        [BrowserSession(digest=digest, **seen)], update_conflicts=True, unique_fields=["digest"], update_fields=seen
    )


def _forget(request: HttpRequest, **kwargs: Any) -> None:
    if key := request.session.session_key:
        BrowserSession.objects.filter(digest=digest_of(key)).delete()
