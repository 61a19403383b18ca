"""Rate limits: calls of a token and of an organization, and wrong tokens from an address.

The limits stop runaway programs and guessing; they are wide enough for a program that adds thousands of peers, one
after the other. An organization's limit is a quota for all of its tokens together. Counters are in the cache, where
Redis counts atomically. Without Redis, calls are answered and not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from portal.models import ApiToken, Quota
from portal.quotas import QuotaUse
from portal.web import minute_counts
from portal.web.client_address import counted_as
from vpn.api.protocol.errors import Refusal

LIMITS = {
    "reads": 3000,
    "writes": 2000,
    "wrong-token": 60,
    "wrong-share-token": 30,
    "wrong-router-token": 60,
    "check-ins": 30,
}
READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_ORGANIZATION = "organization"


def count_call(request: HttpRequest, token: ApiToken) -> None:
    """Count a call of this token, reads and writes separately, and of its organization.

    Raises the refusal if there were too many.
    """
    scope = "reads" if request.method in READS else "writes"
    if _count(scope, str(token.pk)) > limit_of(scope):
        raise _too_many("rate-limit", "This token makes too many calls. Slow down.")
    organization = token.membership.organization
    limit = organization.limit(Quota.API_CALLS)
    if _count(_OF_ORGANIZATION, str(organization.pk)) > limit:
        use = QuotaUse(Quota.API_CALLS, limit, limit)
        raise _too_many(use.code, f"{use.refusal()} {use.next_step}")


def count_wrong(scope: str, request: HttpRequest) -> None:
    """Count a wrong token from this address; raises the refusal if there were too many."""
    if _count(scope, counted_as(request.META.get("REMOTE_ADDR", ""))) > limit_of(scope):
        raise _too_many("rate-limit", "Too many wrong tokens from your address.")


def count_check_in(router_id: int) -> None:
    """Count a check-in of this router; raises the refusal if there were too many."""
    if _count("check-ins", str(router_id)) > limit_of("check-ins"):
        raise _too_many("rate-limit", "This router checks in too often.")


def limit_of(scope: str) -> int:
    """The number of calls allowed per minute; `API_LIMITS` in the settings may override it."""
    return int({**LIMITS, **getattr(settings, "API_LIMITS", {})}[scope])


def _calls_of(organization_id: UUID) -> int:
    """The number of calls that an organization has made in this minute."""
    return minute_counts.counted(_name(_OF_ORGANIZATION, str(organization_id)))


COUNTERS: Final[dict[Quota, Callable[[UUID], int]]] = {Quota.API_CALLS: _calls_of}


def _count(scope: str, ident: str) -> int:
    return minute_counts.count(_name(scope, ident))


def _name(scope: str, ident: str) -> str:
    return f"api-{scope}:{ident}"


def _too_many(code: str, message: str) -> Refusal:
    return Refusal(429, code, message, headers={"Retry-After": str(minute_counts.seconds_left())})
