"""Responses of successful calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from django.http import HttpResponse
from pydantic import TypeAdapter

from vpn.api.protocol.etag import etag_of
from vpn.api.schemas.base import Out

JSON = "application/json"
Shown = TypeVar("Shown", bound=Out)


def one(shown: Out, *, status: int = 200, without: set[str] | None = None) -> HttpResponse:
    """One object with its ETag; `without` names fields that this answer leaves out."""
    response = HttpResponse(shown.model_dump_json(exclude=without), content_type=JSON, status=status)
    response["ETag"] = etag_of(shown)
    return response


def many(shape: type[Shown], shown: Sequence[Shown], link: str) -> HttpResponse:
    """A page of a list, with the link to the next."""
    response = HttpResponse(TypeAdapter(list[shape]).dump_json(list(shown)), content_type=JSON)  # type: ignore[valid-type]
    if link:
        response["Link"] = link
    return response


def plain(shown: Out, *, without: set[str] | None = None) -> HttpResponse:
    """A representation that cannot be changed, and so has no ETag; `without` as for `one`."""
    return HttpResponse(shown.model_dump_json(exclude=without), content_type=JSON)


def nothing() -> HttpResponse:
    """A response without content."""
    return HttpResponse(status=204)
