"""Sites: branches with their routers."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from portal.access import require_admin, require_reader
from vpn.access import get_site
from vpn.actions.activity.planning import preview
from vpn.actions.revisions.notes import noted
from vpn.actions.sites.site import create_site, delete_site, update_site
from vpn.api.protocol.answers import many, nothing, one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read, read_change
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.etag import unless_changed
from vpn.api.protocol.idempotency import idempotent
from vpn.api.protocol.paging import Page, page_of, slice_of
from vpn.api.protocol.plans import plan_of, wants_plan
from vpn.api.schemas.alias import alias_texts
from vpn.api.schemas.plan import PlanOut
from vpn.api.schemas.site import SiteChange, SiteCreate, SiteOut, SubnetOut, show_site
from vpn.models import Site

router = Router(tags=["Sites"])
PATH = "/sites/{uuid:site_id}"


@router.get("/sites", response=answers({200: list[SiteOut]}, 403, 422), summary="List sites")
def list_sites(request: HttpRequest, page: Query[Page]) -> HttpResponse:
    """The organization's sites, oldest first."""
    member = member_of(request)
    require_reader(member)
    found, link = page_of(request, Site.objects.filter(organization=member.organization_id), page)
    return many(SiteOut, [show_site(site) for site in found], link)


@router.post(
    "/sites",
    response=answers({200: PlanOut, 201: SiteOut}, 400, 403, 409, 413, 415, 422),
    openapi_extra=takes(SiteCreate, "Idempotency-Key", "plan"),
    summary="Create a site",
)
@idempotent
def post_site(request: HttpRequest) -> HttpResponse:
    """Create a site; it is connected by adding a peer for it to an instance.

    With `?plan=true` no site is created, and the plan is empty: a site changes nothing before it is connected.
    """
    member = member_of(request)
    require_admin(member)
    values = _with_aliases(read(request, SiteCreate).model_dump())
    create = partial(create_site, member.organization, by=member.principal, **values)
    if wants_plan(request):
        return plan_of(request, preview(create))
    return one(show_site(create()), status=201)


@router.get(PATH, response=answers({200: SiteOut}, 403, 404), summary="Read a site")
def read_site(request: HttpRequest, site_id: UUID) -> HttpResponse:
    """One site."""
    return one(show_site(get_site(member_of(request), site_id)))


@router.put(
    PATH,
    response=answers({200: SiteOut | PlanOut}, 400, 403, 404, 409, 412, 413, 415, 422),
    openapi_extra=takes(SiteChange, "If-Match", "plan"),
    summary="Change a site",
)
def put_site(request: HttpRequest, site_id: UUID) -> HttpResponse:
    """Change the fields that the body names. Its peers advertise its subnets: they follow on every instance.

    With `?plan=true` nothing changes.
    """
    member = member_of(request)
    with unless_changed(request, lambda: get_site(member, site_id, write=True), show_site) as site:
        changes = _with_aliases(read_change(request, SiteChange, show_site(site)))
        with noted(changes.pop("note", "")):
            if not wants_plan(request):
                return one(show_site(update_site(site, by=member.principal, **changes) if changes else site))
            found = preview(lambda: update_site(site, by=member.principal, **changes))
    return plan_of(request, found)


@router.delete(
    PATH,
    response=answers({204: None}, 403, 404, 409, 412),
    openapi_extra=takes(None, "If-Match"),
    summary="Delete a site",
)
def remove_site(request: HttpRequest, site_id: UUID) -> HttpResponse:
    """Delete a site; refused, naming the instances, while it is connected to any (409)."""
    member = member_of(request)
    with unless_changed(request, lambda: get_site(member, site_id, write=True), show_site) as site:
        delete_site(site, by=member.principal)
    return nothing()


@router.get(
    "/site/{uuid:site_id}/subnets", response=answers({200: list[SubnetOut]}, 403, 404, 422), summary="List subnets"
)
def list_subnets(request: HttpRequest, site_id: UUID, page: Query[Page]) -> HttpResponse:
    """The networks of a site's LAN: declared by a person, or reported by its router."""
    subnets, link = slice_of(request, get_site(member_of(request), site_id).subnets, page)
    return many(SubnetOut, [SubnetOut(subnet=subnet, source="declared") for subnet in subnets], link)


def _with_aliases(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a body as actions take them."""
    if "alias" in values:
        values["alias"] = alias_texts(values["alias"])
    return values
