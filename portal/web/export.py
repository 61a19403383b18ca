"""What pages with an export have in common: the file, and the place in a list at which a page begins."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.http import StreamingHttpResponse


def as_file(content: Iterable[str], name: str, content_type: str) -> StreamingHttpResponse:
    """Answer with a file of UTF-8 text that is sent while it is read, and that no cache keeps."""
    response = StreamingHttpResponse(content, content_type=f"{content_type}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def id_in(text: str) -> UUID | None:
    """The id before which a page begins; None for a text that is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
