"""The reader's time zone: what their browser said it is, in a cookie that static/js/zone.js sets. Else UTC.

Times are stored, and told by the API, in UTC; pages read and show them in this zone, and name it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

COOKIE: Final = "zone"


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of this name (IANA), None where there is none."""
    return ZoneInfo(name) if name in _known() else None


class ZoneMiddleware:
    """Activates the reader's zone while a request of theirs is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the zone that the cookie names."""
        zone = find_zone(request.COOKIES.get(COOKIE, ""))
        if zone is None:
            return self.get_response(request)
        with timezone.override(zone):
            return self.get_response(request)
