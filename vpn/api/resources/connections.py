"""The connection journal: who was connected when, over what, from which address."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from portal.access import require_reader
from portal.models import Membership
from vpn.access import get_instance
from vpn.api.protocol.answers import many_rows
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.documentation import answers
from vpn.api.protocol.paging import Page, id_in, link_after
from vpn.api.schemas.connection import ConnectionFilters, ConnectionFiltersOfAll, ConnectionOut
from vpn.connections.reading import Filters, documents_of, find, parse_address

router = Router(tags=["Connections"])
# The finest time of a connection's id.
_MOMENT = timedelta(milliseconds=1)


@router.get("/connections", response=answers({200: list[ConnectionOut]}, 403, 422), summary="List connections")
def list_connections(request: HttpRequest, page: Query[Page], wanted: Query[ConnectionFiltersOfAll]) -> HttpResponse:
    """Connections to all instances, the last begun first, for admins and auditors."""
    member = member_of(request)
    require_reader(member)
    return _page_of(request, member, page, wanted, wanted.instance)


@router.get(
    "/instances/{uuid:instance_id}/connections",
    response=answers({200: list[ConnectionOut]}, 403, 404, 422),
    summary="List an instance's connections",
)
def list_connections_of_instance(
    request: HttpRequest, instance_id: UUID, page: Query[Page], wanted: Query[ConnectionFilters]
) -> HttpResponse:
    """Connections to one instance, the last begun first, for admins and auditors."""
    member = member_of(request)
    instance = get_instance(member, instance_id)
    return _page_of(request, member, page, wanted, instance.pk)


def _page_of(
    request: HttpRequest, member: Membership, page: Page, wanted: ConnectionFilters, instance_id: UUID | None
) -> HttpResponse:
    filters = Filters(
        peer=wanted.peer,
        person=wanted.user,
        site=wanted.site,
        instance=instance_id,
        address=parse_address(wanted.address),
        since=wanted.at or wanted.since,
        until=wanted.at + _MOMENT if wanted.at else wanted.until,
    )
    found = find(member.organization_id, filters, limit=page.limit, before=id_in(request, page))
    link = link_after(request, page, found.before) if found.before else ""
    return many_rows(documents_of(found.rows), link)
