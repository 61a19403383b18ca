"""The health check for load balancers, without signing in."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from portal.access import checks_itself, is_by_provider
from portal.database import why_no_write

logger = logging.getLogger(__name__)
OK = "ok"
_DEADLINE = 1.0  # seconds to wait for Redis, and for the database's write lock
_WRITE_EVERY = 1.0  # seconds
_NOTE_EVERY = 5  # seconds


@require_safe
@never_cache
@login_not_required
@checks_itself
def healthz(request: HttpRequest) -> JsonResponse:
    """Return 200 if everything answers, else 503; each part is `ok` or a sentence.

    Notes, such as the state of hubs, do not make the portal itself unhealthy. Staff who are signed in also see details,
    such as the state of each server.
    """
    parts = {"web": OK, "database": _database(), "redis": _redis()}
    for name, path in settings.HEALTH_CHECKS.items():
        needed = next((parts[part] for part in ("database", "redis") if parts[part] != OK), None)
        parts[name] = _named(path) if needed is None else f"Not known: {needed}"
    fine = all(answer == OK for answer in parts.values())
    if parts["database"] == OK:
        parts |= {name: _noted(name, path) for name, path in settings.HEALTH_NOTES.items()}
    details = _details(request) if parts["database"] == OK else {}
    return JsonResponse({"status": OK if fine else "degraded", **parts, **details}, status=200 if fine else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        logger.exception("The database does not answer")
        return "The database does not answer."
    return _last_write.answer()


class _TrialWrite:
    """At most one trial write a second, because callers need not sign in.

    While the database is locked, only one caller waits for it. The others get the last result, so that they do not
    occupy every thread.
    """

    def __init__(self) -> None:
        self._tried_at = -math.inf
        self._answer = OK
        self._turn = threading.Lock()

    def answer(self) -> str:
        """ "ok", or why the database accepts no write."""
        if time.monotonic() - self._tried_at > _WRITE_EVERY and self._turn.acquire(blocking=False):
            try:
                self._answer = why_no_write(_DEADLINE) or OK
                self._tried_at = time.monotonic()
            finally:
                self._turn.release()
        return self._answer


_last_write = _TrialWrite()


def _redis() -> str:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=_DEADLINE, socket_connect_timeout=_DEADLINE)
    try:
        client.ping()
    except (redis.RedisError, OSError) as error:
        logger.warning("Redis does not answer: %s", type(error).__name__)
        return "Redis does not answer."
    finally:
        client.close()
    return OK


def _noted(name: str, path: str) -> str:
    """Return a note, cached for some seconds: it reads hundreds of hubs, and callers need no account."""
    key = f"health:{name}"
    answer = cache.get(key)
    if not isinstance(answer, str):
        answer = _named(path)
        cache.set(key, answer, _NOTE_EVERY)
    return answer


def _details(request: HttpRequest) -> dict[str, object]:
    """The details for staff; empty for anyone else. Without a session there is no query."""
    if not (request.user.is_authenticated and request.user.is_staff) or is_by_provider(request):
        return {}
    return {name: import_string(path)() for name, path in settings.HEALTH_DETAILS.items()}


def _named(path: str) -> str:
    """Run one of settings.HEALTH_CHECKS. Errors are logged, but not shown to the caller."""
    check: Callable[[], str] = import_string(path)
    try:
        return check()
    except Exception:
        logger.exception("The health check %s failed", path)
        return "The check failed."
