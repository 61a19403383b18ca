"""How many pages one account may ask for: a browser gone wild, or a script with its cookie, takes no others' threads.

The API counts by its tokens (vpn/api/protocol/throttling.py), and signing in is counted by portal/sign_in/guessing.py.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import loader

from portal.web import minute_counts


class PageLimitMiddleware:
    """Answers 429 to an account that asked for too many pages in this minute, before any view runs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Count, and pass on what is within the limit. Without a cookie no user is signed in, and nothing is read."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return self.get_response(request)
        if minute_counts.count(f"pages:{request.user.pk}") <= settings.PAGES_A_MINUTE:
            return self.get_response(request)
        seconds = minute_counts.seconds_left()
        context = {"is_post": request.method == "POST", "seconds": seconds, "most": settings.PAGES_A_MINUTE}
        page = loader.get_template("429.html").render(context)
        return HttpResponse(page, status=429, headers={"Retry-After": str(seconds), "Cache-Control": "no-store"})
