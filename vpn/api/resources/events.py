"""The organization's journal: who did what, when, on which object."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from portal.access import require_reader
from portal.audit.reading import Filters, document_of, find
from portal.searching import as_typed
from vpn.api.protocol.answers import many_rows
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.documentation import answers
from vpn.api.protocol.paging import Page, id_in, link_after
from vpn.api.schemas.event import EventFilters, EventOut

router = Router(tags=["Events"])


@router.get("/events", response=answers({200: list[EventOut]}, 403, 422), summary="List the journal")
def list_events(request: HttpRequest, page: Query[Page], wanted: Query[EventFilters]) -> HttpResponse:
    """The organization's journal, newest first, for admins and auditors."""
    member = member_of(request)
    require_reader(member)
    filters = Filters(actor=as_typed(wanted.actor), object=as_typed(wanted.object), since=wanted.since)
    found = find(member.organization_id, filters, limit=page.limit, before=id_in(request, page))
    link = link_after(request, page, found.before) if found.before else ""
    return many_rows([document_of(line) for line in found.lines], link)
