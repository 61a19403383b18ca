"""The connection journal: who was connected when, over what, from which address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from portal.access import get_reader
from portal.actions.journal import note_connections_export
from portal.htmx import render_page
from portal.web.export import as_file, id_in
from vpn.connections import reading
from vpn.connections.export import as_csv, as_json_lines
from vpn.connections.reading import documents_of, find, pages
from vpn.forms.connections import ConnectionsForm
from vpn.models import Connection

PAGE_SIZE: Final = 50
MOST_EXPORTED: Final = 100_000
_FILES: Final = {"csv": (as_csv, "text/csv"), "jsonl": (as_json_lines, "application/jsonl")}
# The filters that are set by following a link: in words, and the name that a row has for it.
_LINKED: Final = (
    ("peer", gettext_lazy("Peer"), "peer_name"),
    ("person", gettext_lazy("Person"), "person"),
    ("site", gettext_lazy("Site"), "peer_name"),
    ("instance", gettext_lazy("Instance"), "instance_name"),
)


@require_safe
def connections(request: HttpRequest) -> HttpResponse:
    """The connections, the last begun first."""
    member = get_reader(request)
    form = ConnectionsForm(request.GET)
    given = form.given
    found = find(member.organization_id, form.filters, limit=PAGE_SIZE, before=id_in(request.GET.get("before", "")))
    context = {
        "form": form,
        "lines": _lines(found.rows, given),
        "found": found,
        "older": urlencode({**given, "before": str(found.before)}) if found.before else "",
        "is_older": "before" in request.GET,
        "query": urlencode(given),
        "given": given,
        "chips": _chips(found.rows, given),
        "most_exported": MOST_EXPORTED,
        "searched": reading.SEARCHED,
    }
    return render_page(request, "vpn/connections/page.html", context, fragment="lines")


@require_POST
def connections_export(request: HttpRequest) -> HttpResponseBase:
    """The connections that the filters leave, as a file; the journal says who exported it."""
    member = get_reader(request)
    form = ConnectionsForm(request.POST)
    name = "jsonl" if request.POST.get("format") == "jsonl" else "csv"
    write, content_type = _FILES[name]
    file = f"connections-{member.organization.slug}-{timezone.localtime():%Y-%m-%d}.{name}"
    note_connections_export(member.organization, file, form.given, by=member.principal)
    rows = pages(member.organization_id, form.filters, MOST_EXPORTED)
    return as_file(write(rows), file, content_type)


def _lines(rows: Sequence[Connection], given: dict[str, str]) -> list[dict[str, Any]]:
    """What the page says of each connection."""
    return [
        {
            "row": row,
            "received_bytes": told["received_bytes"],
            "sent_bytes": told["sent_bytes"],
            "subnets": told["subnets"],
            "lasted": (row.ended_at or timezone.now()) - row.began_at,
            "has_roamed": row.last_endpoint != row.endpoint,
            "by": [
                (words, urlencode({**given, name: str(value)}))
                for name, words, _ in _LINKED
                if name not in given and (value := getattr(row, f"{name}_id")) is not None
            ],
        }
        for row, told in zip(rows, documents_of(rows), strict=True)
    ]


def _chips(rows: Sequence[Connection], given: dict[str, str]) -> list[tuple[str, str]]:
    """The filters that are set by following a link: in words, with the query without them."""
    return [
        (
            f"{words} {getattr(rows[0], column) if rows else given[name]}",
            urlencode({key: value for key, value in given.items() if key != name}),
        )
        for name, words, column in _LINKED
        if name in given
    ]
