"""A member's own connections, from the connection journal: their rows alone."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.access import get_member
from portal.web.export import id_in
from vpn.connections.reading import Filters, documents_of, find

PAGE_SIZE: Final = 30


@require_safe
def my_connections(request: HttpRequest) -> HttpResponse:
    """The reader's connections, the last begun first."""
    member = get_member(request)
    filters = Filters(person=member.pk)
    found = find(member.organization_id, filters, limit=PAGE_SIZE, before=id_in(request.GET.get("before", "")))
    now = timezone.now()
    lines = [
        {"row": row, "told": told, "device": _device(row.peer_name), "lasted": (row.ended_at or now) - row.began_at}
        for row, told in zip(found.rows, documents_of(found.rows), strict=True)
    ]
    context = {
        "lines": lines,
        "older": urlencode({"before": str(found.before)}) if found.before else "",
        "is_older": "before" in request.GET,
    }
    return render(request, "vpn/profiles/my_connections.html", context)


def _device(name: str) -> str:
    """The device's own name, without its owner's; the owner's where it has none."""
    return name.rpartition(" / ")[2]
