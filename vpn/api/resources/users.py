"""Users: the organization's members."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Router

from portal.access import require_admin, require_reader
from portal.actions.link_mail import mail_link
from portal.actions.member import add_member, change_member, remove_member
from portal.mail import reaches_people
from portal.models import Membership
from vpn.api.protocol.answers import many, nothing, one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read, read_change
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.etag import unless_changed
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.paging import Page, page_of
from vpn.api.schemas.user import UserChange, UserCreate, UserOut, show_user, show_users

router = Router(tags=["Users"])
PATH = "/users/{uuid:user_id}"


def _users_of(member: Membership) -> QuerySet[Membership]:
    rows = Membership.objects.filter(organization=member.organization_id)
    return rows.select_related("user", "organization")


def get_user(member: Membership, user_id: UUID, *, write: bool = False) -> Membership:
    """One member of the organization; a member may only read themselves."""
    found = get_object_or_404(_users_of(member), pk=user_id)
    if not member.sees_everything and found.pk != member.pk:
        raise Http404
    if write:
        require_admin(member)
    return found


@router.get("/users", response=answers({200: list[UserOut]}, 403, 422), summary="List users")
def list_users(request: HttpRequest, page: Query[Page]) -> HttpResponse:
    """The organization's members, the oldest first."""
    member = member_of(request)
    require_reader(member)
    rows = _users_of(member).select_related(None).select_related("user")
    found, link = page_of(request, rows, page)
    return many(UserOut, show_users(found), link)


@router.post(
    "/users",
    response=answers({201: UserOut}, 400, 403, 409, 413, 415, 422),
    openapi_extra=takes(UserCreate, "Idempotency-Key"),
    summary="Invite a user",
)
@idempotent
def post_user(request: HttpRequest) -> HttpResponse:
    """Invite a user by mail. Peers can be created for them before they join, and work.

    If the portal sends no mail, an admin passes on the link on the user's page.
    """
    member = member_of(request)
    require_admin(member)
    body = read(request, UserCreate)
    by = member.principal
    added = add_member(member.organization, by=by, **body.model_dump())
    if reaches_people():
        # Sent after the commit: with an Idempotency-Key this code runs in a transaction, and Redis counts mails at
        # once.
        transaction.on_commit(partial(mail_link, added, by=by))
    return one(show_user(added), status=201)


@router.get(PATH, response=answers({200: UserOut}, 404), summary="Read a user")
def read_user(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """One member of the organization."""
    return one(show_user(get_user(member_of(request), user_id)))


@router.put(
    PATH,
    response=answers({200: UserOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(UserChange, "If-Match"),
    summary="Change a user",
)
def put_user(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Change the fields that the body names. `active: false` ends the member's tokens, share links and tunnels.

    `GET /receipts?user=` says what ended, and which hubs have confirmed it.
    """
    member = member_of(request)
    with unless_changed(request, lambda: get_user(member, user_id, write=True), show_user) as user:
        changes = read_change(request, UserChange, show_user(user))
        return one(show_user(change_member(user, by=member.principal, **changes) if changes else user))


@router.delete(
    PATH,
    response=answers({204: None}, 403, 404, 409, 412),
    openapi_extra=takes(None, "If-Match"),
    summary="Remove a user",
)
def remove_user(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Remove a member from the organization, with all their peers; `GET /receipts?user=` says what ended."""
    member = member_of(request)
    with unless_changed(request, lambda: get_user(member, user_id, write=True), show_user) as user:
        remove_member(user, by=member.principal)
    return nothing()
