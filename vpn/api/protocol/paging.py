"""Lists in pages: `?limit=` and `?cursor=`, with the next page in a Link header.

A cursor names the last row of a page, not a count of rows, so that a growing list repeats nothing. It is signed, since
its content becomes part of a query.

django-ninja's CursorPagination (1.7.1) is not used: its cursor is unsigned and counts rows of the same time, up to 100.
It also wraps the list in an object and writes no Link header.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.core import signing
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from ninja import Schema
from pydantic import Field

from vpn.api.protocol.errors import invalid

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
Row = TypeVar("Row")
Item = TypeVar("Item")


class Page(Schema):
    """The requested part of a list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many at most.")
    cursor: str = Field("", description="From the Link header of the page before.")


def page_of(
    request: HttpRequest,
    rows: QuerySet[Any, Row],
    page: Page,
    *,
    by: str = "created_at",
    newest_first: bool = False,
) -> tuple[list[Row], str]:
    """One page of rows, ordered by a time and the id, and its Link header (empty on the last page).

    Rows are models, or tuples with these columns among their names.
    """
    salt = _salt(request)
    if page.cursor:
        at, pk = _opened(page.cursor, salt, 2)
        step = "lt" if newest_first else "gt"
        # The first condition alone can be looked up in an index.
        rows = rows.filter(**{f"{by}__{step}e": at}).filter(Q(**{f"{by}__{step}": at}) | Q(**{f"pk__{step}": pk}))
    sign = "-" if newest_first else ""
    found = list(rows.order_by(f"{sign}{by}", f"{sign}pk")[: page.limit + 1])
    if len(found) <= page.limit:
        return found, ""
    last: Any = found[page.limit - 1]
    cursor = signing.dumps([getattr(last, by).isoformat(), str(last.pk)], salt=salt)
    return found[: page.limit], _link(request, page.limit, cursor)


def id_in(request: HttpRequest, page: Page) -> UUID | None:
    """The id of the last row of the page before, for lists whose ids sort by time."""
    if not page.cursor:
        return None
    return UUID(_opened(page.cursor, _salt(request), 1)[0])


def link_after(request: HttpRequest, page: Page, pk: UUID) -> str:
    """The Link header of a page whose last row has this id."""
    return _link(request, page.limit, signing.dumps([str(pk)], salt=_salt(request)))


def slice_of(request: HttpRequest, items: Sequence[Item], page: Page) -> tuple[list[Item], str]:
    """One page of a list that is short enough to be in memory as a whole, and its Link header."""
    salt = _salt(request)
    start = int(_opened(page.cursor, salt, 1)[0]) if page.cursor else 0
    end = start + page.limit
    link = _link(request, page.limit, signing.dumps([str(end)], salt=salt)) if end < len(items) else ""
    return list(items[start:end]), link


def _salt(request: HttpRequest) -> str:
    # A cursor is only valid for its own list.
    return f"vpn.api.cursor:{request.path}"


def _opened(cursor: str, salt: str, length: int) -> list[str]:
    try:
        parts: Any = signing.loads(cursor, salt=salt)
    except (signing.BadSignature, ValueError):
        parts = None
    if not isinstance(parts, list) or len(parts) != length:
        raise invalid({"cursor": ["This is no cursor of this list. Begin without one."]})
    return parts


def _link(request: HttpRequest, limit: int, cursor: str) -> str:
    kept = [(name, value) for name, value in request.GET.items() if name not in {"limit", "cursor"}]
    query = urlencode([*kept, ("limit", limit), ("cursor", cursor)])
    return f'<{request.build_absolute_uri(request.path)}?{query}>; rel="next"'
