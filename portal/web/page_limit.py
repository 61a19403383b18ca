"""Limit of pages per account, so that a runaway browser or a script with its cookie cannot occupy all threads.

The API is limited by token (vpn/api/protocol/throttling.py), and signing in by portal/sign_in/guessing.py.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import loader

from portal.web import minute_counts


class PageLimitMiddleware:
    """Answers 429 to an account with too many requests in this minute, before any view runs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Count, and pass requests within the limit on. Without a session cookie, nothing is read or counted."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return self.get_response(request)
        if minute_counts.count(f"pages:{request.user.pk}") <= settings.PAGES_A_MINUTE:
            return self.get_response(request)
        seconds = minute_counts.seconds_left()
        context = {"is_post": request.method == "POST", "seconds": seconds, "most": settings.PAGES_A_MINUTE}
        page = loader.get_template("429.html").render(context)
        return HttpResponse(page, status=429, headers={"Retry-After": str(seconds), "Cache-Control": "no-store"})
