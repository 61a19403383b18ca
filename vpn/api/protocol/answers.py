"""Responses of successful calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from django.http import HttpResponse
from pydantic import TypeAdapter
from pydantic_core import to_json

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
    return _page(TypeAdapter(list[shape]).dump_json(list(shown)), link)  # type: ignore[valid-type]


def many_rows(rows: Sequence[Mapping[str, object]], link: str) -> HttpResponse:
    """The same of rows from the database, which need no validation."""
    return _page(to_json(rows), link)


def _page(content: bytes, link: str) -> HttpResponse:
    response = HttpResponse(content, content_type=JSON)
    if link:
        response["Link"] = link
    return response


def plain(shown: Out, *, without: set[str] | None = None) -> HttpResponse:
    """A representation that cannot be changed, and so has no ETag; `without` as for `one`."""
    return HttpResponse(shown.model_dump_json(exclude=without), content_type=JSON)


def nothing() -> HttpResponse:
    """A response without content."""
    return HttpResponse(status=204)
