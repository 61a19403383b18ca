"""Views whose address grants a right: the token in it is kept out of logs, the Referer, caches and search engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse

from portal.database import is_busy
from portal.views.failure import busy
from vpn.presenters.profiles.page import never_stored

View = Callable[[HttpRequest, str], HttpResponse]


def discreet(view: View) -> View:
    """Keep the token out of logs, Referer, caches and search engines.

    Django's log would name the path of each refused or failed request.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, token: str) -> HttpResponse:
        request.path = request.path_info = request.path.replace(token, "-")
        try:
            response = view(request, token)
        except OperationalError as error:
            if not is_busy(error):
                raise
            response = busy(request)
        response = never_stored(response)
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return wrapped
