"""What is answered where a request failed: the database is busy, it came too often, or the fault is ours."""

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
# What is typed into such fields is never written into a page.
_SECRET: Final = re.compile(r"pass|secret|token|key", re.IGNORECASE)


def failed(request: HttpRequest) -> HttpResponse:
    """The handler of every exception that no view answered (Django calls it while the exception is handled)."""
    return busy(request) if is_busy(sys.exc_info()[1]) else server_error(request)


def busy(request: HttpRequest) -> HttpResponse:
    """503: the save waited too long for its turn. The page holds what was typed and sends it again.

    It reads no row, since the database is what does not answer. Its form and link lead to the address that the browser
    is at: `request.path` may have lost a token on the way, and none is written into a page.
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
    """429: allauth's limits of what strangers ask for, such as mails; how long they last differs."""
    page = loader.get_template("429.html").render({"is_post": request.method == "POST"})
    return HttpResponse(page, status=429, headers={"Cache-Control": "no-store"})
