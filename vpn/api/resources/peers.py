"""Peers: sites and devices on an instance."""

from __future__ import annotations

from functools import partial
from typing import Literal
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import Field

from portal.models import Membership, Principal
from portal.web.later import not_yet
from vpn.access import get_instance_of_peers, get_peer
from vpn.actions.activity.planning import preview
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.actions.peers.use import Unused, refuse_more_days
from vpn.actions.profiles.profile import renew_with_link
from vpn.actions.revisions.notes import noted
from vpn.api.protocol.answers import many, nothing, one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read, read_change
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.errors import Refusal, invalid
from vpn.api.protocol.etag import unless_changed
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.limits import check_site
from vpn.api.protocol.paging import Page
from vpn.api.protocol.plans import plan_of, wants_plan
from vpn.api.resources.peer_list import answer_list
from vpn.api.schemas.peer import (
    FormatOut,
    PeerChange,
    PeerCreate,
    PeerOut,
    PeerWithTokenOut,
    show_peer,
)
from vpn.api.schemas.plan import PlanOut
from vpn.models import Instance, Peer, Site
from vpn.presenters.peers.search import PeerSearch
from vpn.profiles.formats import files_of
from vpn.profiles.known import known_digests
from vpn.profiles.peer import NoAddress
from vpn.profiles.state import profile_state, profile_states

router = Router(tags=["Peers"])
LIST = "/instances/{uuid:instance_id}/peers"
PATH = LIST + "/{uuid:peer_id}"
# Fields that only the other type of peer has.
_SITE_FIELDS = ("site_id", "subnets", "confirm_broad_routes", "note")
_CLIENT_FIELDS = ("user_id", "route_all", "device", "public_key")
_SHOWN = {None: "all", "site": "sites", "client": "clients"}


class PeerPage(Page):
    """The requested peers."""

    type: Literal["client", "site"] | None = None
    q: str = Field(
        "",
        max_length=100,
        pattern=r"^[^\x00]*$",
        description="Words of names, email addresses, devices, sites and networks, in any order. An address is also "
        "found in the networks around it.",
    )


def show(peer: Peer) -> PeerOut:
    """The representation of one peer."""
    return show_peer(peer, profile_state(peer))


def _peer(member: Membership, instance_id: UUID, peer_id: UUID, *, write: bool = False) -> Peer:
    peer = get_peer(member, peer_id)
    if peer.instance_id != instance_id:
        raise Http404
    return get_peer(member, peer_id, write=True) if write else peer


@router.get(LIST, response=answers({200: list[PeerOut]}, 403, 404, 422), summary="List peers")
def list_peers(request: HttpRequest, instance_id: UUID, page: Query[PeerPage]) -> HttpResponse:
    """The instance's peers, oldest first."""
    member = member_of(request)
    instance = get_instance_of_peers(member, instance_id)
    search = PeerSearch(text=page.q.strip(), show=_SHOWN[page.type])
    return answer_list(request, instance, search.find(member, instance), page)


@router.post(
    LIST,
    response=answers({200: PlanOut, 201: PeerOut}, 400, 403, 404, 409, 413, 415, 422),
    openapi_extra=takes(PeerCreate, "Idempotency-Key", "plan"),
    summary="Add a peer",
)
@idempotent
def post_peer(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """Add a site or a user's device, in any state of the instance but `deleting` and `lost`.

    With `?plan=true` nothing is added.
    """
    member = member_of(request)
    instance = get_instance_of_peers(member, instance_id, write=True)
    body = read(request, PeerCreate)
    whose = _whose(body)
    if body.type == "site":
        check_site(member, whose)
    if body.type == "client" and "unused_days" in body.model_fields_set:
        refuse_more_days(member, body.unused_days)
    create = partial(_create_site if body.type == "site" else _create_client, instance, whose, body, member.principal)
    if wants_plan(request):
        return plan_of(request, preview(create))
    return one(show(create()), status=201)


def _whose(body: PeerCreate) -> UUID:
    """The id of the site or user; raises the refusal if it is missing, or with fields of the other type."""
    others, other = (_CLIENT_FIELDS, "client") if body.type == "site" else (_SITE_FIELDS, "site")
    errors = {name: [f"This is for {other} peers only."] for name in others if getattr(body, name)}
    field = "site_id" if body.type == "site" else "user_id"
    whose: UUID | None = getattr(body, field)
    if whose is None:
        errors[field] = ["This field is required."]
    if whose is None or errors:
        raise invalid(errors)
    return whose


def _create_client(instance: Instance, user_id: UUID, body: PeerCreate, by: Principal) -> Peer:
    members = Membership.objects.filter(organization=instance.organization_id).select_related("user")
    member = members.filter(pk=user_id).first()
    if member is None:
        raise invalid({"user_id": ["There is no such user."]})
    return create_client_peer(
        instance,
        by=by,
        member=member,
        unused_days=body.unused_days if "unused_days" in body.model_fields_set else Unused.AS_ORGANIZATION,
        **body.model_dump(include={"device", "route_all", "protocol", "expires_at", "public_key"}),
    )


def _create_site(instance: Instance, site_id: UUID, body: PeerCreate, by: Principal) -> Peer:
    site = Site.objects.filter(pk=site_id, organization=instance.organization_id).first()
    if site is None:
        raise invalid({"site_id": ["There is no such site."]})
    given = body.model_dump(include={"subnets", "protocol", "confirm_broad_routes", "expires_at", "unused_days"})
    with noted(body.note):
        return create_site_peer(instance, by=by, site=site, **given)


@router.get(PATH, response=answers({200: PeerOut}, 404), summary="Read a peer")
def read_peer(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """One peer; for a member, one of their own."""
    peer = _peer(member_of(request), instance_id, peer_id)
    states = profile_states(peer.instance, [peer], digests=known_digests(peer.instance))
    return one(show_peer(peer, states[peer.pk]))


@router.put(
    PATH,
    response=answers({200: PeerOut | PlanOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(PeerChange, "If-Match", "plan"),
    summary="Change a peer",
)
def put_peer(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """Change the fields that the body names; the hub follows in the background. With `?plan=true` nothing changes."""
    member = member_of(request)
    with unless_changed(request, lambda: _peer(member, instance_id, peer_id, write=True), show) as peer:
        changes = read_change(request, PeerChange, show(peer))
        if {"subnets", "is_exit"} & changes.keys() and peer.site_id is not None:
            check_site(member, peer.site_id)
        if "unused_days" in changes and changes["unused_days"] != peer.unused_days:
            refuse_more_days(member, changes["unused_days"], peer)
        with noted(changes.pop("note", "")):
            if not wants_plan(request):
                return one(show(update_peer(peer, by=member.principal, **changes) if changes else peer))
            found = preview(lambda: update_peer(peer, by=member.principal, **changes) if changes else None)
    return plan_of(request, found)


@router.delete(
    PATH,
    response=answers({200: PlanOut, 204: None}, 403, 404, 409, 412, 422),
    openapi_extra=takes(None, "If-Match", "plan"),
    summary="Delete a peer",
)
def remove_peer(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """Revoke a peer's access; its live session ends. With `?plan=true` nothing changes."""
    member = member_of(request)
    with unless_changed(request, lambda: _peer(member, instance_id, peer_id, write=True), show) as peer:
        if not wants_plan(request):
            delete_peer(peer, by=member.principal)
            return nothing()
        found = preview(lambda: delete_peer(peer, by=member.principal))
    return plan_of(request, found)


@router.get(f"{PATH}/formats", response=answers({200: list[FormatOut]}, 404, 503), summary="List a peer's files")
def list_formats(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """The files that `GET /client?format=` offers for this peer; the first one is the default."""
    peer = _peer(member_of(request), instance_id, peer_id)
    if not peer.has_profile:
        return many(FormatOut, [], "")
    try:
        files = files_of(peer)
    except (NoAddress, ValueError):
        # The instance has no server or no certificate yet.
        not_yet(request)
        message = "The hub is being prepared, and its profiles with it. Try again in a moment."
        raise Refusal(503, "hub-not-ready", message, headers={"Retry-After": "2"}) from None
    return many(FormatOut, [FormatOut.of(file) for file in files.values()], "")


@router.post(
    f"{PATH}/rotate",
    response=answers({200: PeerWithTokenOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Rotate the keys",
)
@idempotent
def rotate(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """Give the peer new keys and a share token for its new profile; the old keys end."""
    member = member_of(request)
    peer = _peer(member, instance_id, peer_id, write=True)
    return one(shown_with(*renew_with_link(peer, by=member.principal, sender=member)))


def shown_with(peer: Peer, token: str, ttl: int) -> PeerWithTokenOut:
    return PeerWithTokenOut(**show(peer).model_dump(), token=token, token_ttl=ttl)
