"""How often a token may call, and how often an address may be wrong.

The limits stop runaway programs and guessing; they are wide enough for a program that adds thousands of peers, one
after the other. Counters live in the cache: without it calls go on, as a portal that refuses all work because its
counters are gone helps nobody.
"""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

from portal.client_address import counted_as
from portal.models import ApiToken
from vpn.api.errors import Refusal

logger = logging.getLogger(__name__)
WINDOW = 60
LIMITS = {"reads": 3000, "writes": 2000, "wrong-token": 60, "wrong-share-token": 30}
READS = frozenset({"GET", "HEAD", "OPTIONS"})


def count_call(request: HttpRequest, token: ApiToken) -> None:
    """Count a call of this token, reads and writes apart; raises the refusal where there were too many."""
    scope = "reads" if request.method in READS else "writes"
    _count(scope, str(token.pk), "This token makes too many calls. Slow down.")


def count_wrong(scope: str, request: HttpRequest) -> None:
    """Count a wrong token from this address; raises the refusal where there were too many."""
    _count(scope, counted_as(request.META.get("REMOTE_ADDR", "")), "Too many wrong tokens from your address.")


def limit_of(scope: str) -> int:
    """How many a minute are allowed; `API_LIMITS` in the settings may say otherwise."""
    return int({**LIMITS, **getattr(settings, "API_LIMITS", {})}[scope])


def _count(scope: str, ident: str, message: str) -> None:
    now = time.time()
    window = int(now // WINDOW)
    key = f"api:{scope}:{ident}:{window}"
    try:
        cache.add(key, 0, WINDOW * 2)
        counted = cache.incr(key)
    except (RedisError, OSError, ValueError) as error:
        logger.warning("API calls are not counted: %s", type(error).__name__)
        return
    if counted > limit_of(scope):
        wait = max(1, round((window + 1) * WINDOW - now))
        raise Refusal(429, "rate-limit", message, headers={"Retry-After": str(wait)})
