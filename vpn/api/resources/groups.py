"""Groups of users: a firewall rule can name all of a group's members at once."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from portal.access import get_group, groups_of, require_admin
from portal.actions.group import change_group, create_group, delete_group
from vpn.api.protocol.answers import many, nothing, one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read, read_change
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.etag import unless_changed
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.paging import Page, page_of
from vpn.api.schemas.group import GroupChange, GroupCreate, GroupOut, show_group

router = Router(tags=["Groups"])
PATH = "/groups/{uuid:group_id}"


@router.get("/groups", response=answers({200: list[GroupOut]}, 403, 422), summary="List groups")
def list_groups(request: HttpRequest, page: Query[Page]) -> HttpResponse:
    """The organization's groups, oldest first."""
    rows = groups_of(member_of(request)).prefetch_related("members")
    found, link = page_of(request, rows, page)
    return many(GroupOut, [show_group(group) for group in found], link)


@router.post(
    "/groups",
    response=answers({201: GroupOut}, 400, 403, 409, 413, 415, 422),
    openapi_extra=takes(GroupCreate, "Idempotency-Key"),
    summary="Create a group",
)
@idempotent
def post_group(request: HttpRequest) -> HttpResponse:
    """Create a group; firewall rules name it as `group:ID`."""
    member = member_of(request)
    require_admin(member)
    body = read(request, GroupCreate)
    made = create_group(member.organization, by=member.principal, name=body.name, members=body.members)
    return one(show_group(made), status=201)


@router.get(PATH, response=answers({200: GroupOut}, 403, 404), summary="Read a group")
def read_group(request: HttpRequest, group_id: UUID) -> HttpResponse:
    """One group."""
    return one(show_group(get_group(member_of(request), group_id)))


@router.put(
    PATH,
    response=answers({200: GroupOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(GroupChange, "If-Match"),
    summary="Change a group",
)
def put_group(request: HttpRequest, group_id: UUID) -> HttpResponse:
    """Change the fields that the body names. The hubs whose rules name the group follow in the background."""
    member = member_of(request)
    with unless_changed(request, lambda: get_group(member, group_id, write=True), show_group) as group:
        changes = read_change(request, GroupChange, show_group(group))
        return one(show_group(change_group(group, by=member.principal, **changes) if changes else group))


@router.delete(
    PATH,
    response=answers({204: None}, 403, 404, 409, 412),
    openapi_extra=takes(None, "If-Match"),
    summary="Delete a group",
)
def remove_group(request: HttpRequest, group_id: UUID) -> HttpResponse:
    """Delete a group; refused, naming the instances, while a firewall rule names it (409)."""
    member = member_of(request)
    with unless_changed(request, lambda: get_group(member, group_id, write=True), show_group) as group:
        delete_group(group, by=member.principal)
    return nothing()
