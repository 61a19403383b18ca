"""The API's addresses, and what all of its responses have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.urls import URLPattern, URLResolver, path, re_path

from vpn.api.protocol.bodies import is_too_large
from vpn.api.protocol.errors import not_found, problem, too_large
from vpn.api.root import api

View = Callable[..., HttpResponseBase]


def as_api(view: View) -> View:
    """A view of the API: no session, no cookie, no HTML page for an error, no caching."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = too_large() if is_too_large(request) else _answer(view, request, *args, **kwargs)
        response.setdefault("Cache-Control", "no-store")
        return response

    wrapped.csrf_exempt = True  # type: ignore[attr-defined]
    wrapped.login_required = False  # type: ignore[attr-defined]
    return wrapped


def _answer(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    # HEAD is GET without the content (RFC 9110, section 9.3.2). Not where reading spends a token: HEAD is safe.
    is_head = request.method == "HEAD" and not _is_spent_by_reading(request)
    if is_head:
        request.method = "GET"
    try:
        response = view(request, *args, **kwargs)
    except Http404:
        return not_found()
    if isinstance(response, HttpResponseNotAllowed):
        allowed = {"Allow": response["Allow"]}
        return problem(405, "method-not-allowed", "This does not take that method; see Allow.", headers=allowed)
    if is_head:
        request.method = "HEAD"
        _empty(response)
    return response


def _is_spent_by_reading(request: HttpRequest) -> bool:
    return request.path.rstrip("/").endswith("/client")


def _empty(response: HttpResponseBase) -> None:
    if isinstance(response, HttpResponse):
        response["Content-Length"] = str(len(response.content))  # the length of the content of a GET
        response.content = b""


def nothing_here(_request: HttpRequest, **_kwargs: Any) -> HttpResponse:
    """The response for every other path under /api/."""
    return not_found()


def _mounted() -> tuple[list[URLPattern | URLResolver], str, str]:
    patterns, app_name, namespace = api.urls
    for pattern in patterns:
        if pattern.callback is not None:
            pattern.callback = as_api(pattern.callback)
    return patterns, app_name, namespace


urlpatterns = [
    path("v1/", _mounted()),
    re_path("", as_api(nothing_here), name="api-nothing-here"),
]
