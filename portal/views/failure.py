"""Responses to failed requests: the database is busy, a limit is reached, or an internal error."""

from __future__ import annotations

import re
import sys
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template import loader
from django.views.defaults import server_error

from portal.database import is_busy

_RETRY_AFTER: Final = "5"  # seconds
# The content of such fields is never written into a page.
_SECRET: Final = re.compile(r"pass|secret|token|key", re.IGNORECASE)


def failed(request: HttpRequest) -> HttpResponse:
    """Django's handler for uncaught exceptions, called while the exception is handled."""
    return busy(request) if is_busy(sys.exc_info()[1]) else server_error(request)


def busy(request: HttpRequest) -> HttpResponse:
    """503: the request waited too long for a database lock. The page contains the input and can send it again.

    It reads no row, because the database does not answer. Its form and link lead to the browser's current URL, not to
    `request.path`: a token may have been removed from that, and tokens must not be written into a page.
    """
    fields = [(name, value) for name, values in request.POST.lists() for value in values]
    typed = [(name, value) for name, value in fields if name != "csrfmiddlewaretoken"]
    context = {
        "is_post": request.method == "POST",
        "typed": typed,
        "has_secret": any(_SECRET.search(name) for name, value in typed if value),
        "csrf_token": get_token(request),
    }
    page = loader.get_template("503.html").render(context)
    return HttpResponse(page, status=503, headers={"Retry-After": _RETRY_AFTER, "Cache-Control": "no-store"})


def too_often(request: HttpRequest) -> HttpResponse:
    """429: a limit of allauth was reached, for example for mails; its duration differs."""
    page = loader.get_template("429.html").render({"is_post": request.method == "POST"})
    return HttpResponse(page, status=429, headers={"Cache-Control": "no-store"})
