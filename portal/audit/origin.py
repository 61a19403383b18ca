"""From where the present act comes: the client of a request, or the command that staff run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, NamedTuple

from django.http import HttpRequest, HttpResponseBase

_LONGEST: Final = 200


class Origin(NamedTuple):
    """The address and the program of a client; both are "" where the portal acts by itself."""

    address: str = ""
    user_agent: str = ""


_NOWHERE: Final = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=_NOWHERE)


def origin(*, is_command: bool) -> Origin:
    """Where the present act comes from: a request, or for staff the command of `manage.py` that runs."""
    place = _origin.get()
    if is_command and not place.address and Path(sys.argv[0]).name == "manage.py":
        return Origin("", " ".join(["manage.py", *sys.argv[1:2]])[:_LONGEST])
    return place


@contextmanager
def acting_from(place: Origin) -> Iterator[None]:
    """Note where the acts of this block come from."""
    token = _origin.set(place)
    try:
        yield
    finally:
        _origin.reset(token)


class OriginMiddleware:
    """Notes the client of each request for the journal. It stands behind the one that reads proxies' headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        agent = "".join(letter if letter.isprintable() else " " for letter in request.headers.get("User-Agent", ""))
        with acting_from(Origin(request.META.get("REMOTE_ADDR", "")[:45], agent[:_LONGEST])):
            return self.get_response(request)
