"""The user's time zone, from a cookie that static/js/zone.js sets; UTC without it.

Times are stored in UTC, and the API uses UTC. Pages read and show times in this zone, and name it.
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
    """Return the zone of this IANA name, or None."""
    return ZoneInfo(name) if name in _known() else None


class ZoneMiddleware:
    """Activates the user's zone for the duration of a request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Process the request in the zone of the cookie."""
        zone = find_zone(request.COOKIES.get(COOKIE, ""))
        if zone is None:
            return self.get_response(request)
        with timezone.override(zone):
            return self.get_response(request)
