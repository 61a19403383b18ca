"""Adding peers to an instance: a member's device, or a site's router."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.htmx import render_page
from portal.models import Membership
from portal.views.searched import show_search
from vpn.access import get_instance_of_peers, may_change_subnets
from vpn.actions.peers.input import subnet_warnings_for
from vpn.actions.peers.peer import create_client_peer, create_site_peer
from vpn.actions.peers.use import refuse_more_days
from vpn.actions.revisions.notes import noted
from vpn.actions.sites.aliases import proposed_aliases
from vpn.actions.sites.site import create_site, update_site
from vpn.addressing.networks import is_broad
from vpn.constants import SUBNET_OVERLAP
from vpn.forms.fields import listed
from vpn.forms.note import note_of
from vpn.forms.peer import ClientPeerForm, SitePeerForm
from vpn.models import Instance, Peer, Site
from vpn.validators import parse_network
from vpn.views.activity.preview import is_preview, show_preview

# The names of the site's fields in this form.
_SITE_FIELDS = {
    "name": "site_name",
    "platform": "site_platform",
    "platform_version": "site_platform_version",
    "place": "site_place",
}


@require_http_methods(["GET", "HEAD", "POST"])
def client_peer_new(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Add one user's device."""
    member = get_member(request)
    instance = get_instance_of_peers(member, pk, write=True)
    form = ClientPeerForm(_posted(request), organization=member.organization, initial=_chosen(request, "user_id"))
    context = {"form": form, "instance": instance}
    if form.is_search:
        return show_search(request, "vpn/peers/create_client.html", context, form)
    if request.method == "POST" and form.is_valid():
        peer = _create_client(instance, form, member)
        if peer is not None:
            messages.success(request, _("%(peer)s was added.") % {"peer": peer.label})
            return redirect("peer", pk=peer.pk)
    return render(request, "vpn/peers/create_client.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def site_peer_new(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Connect a site, which may be created by the same form."""
    member = get_member(request)
    instance = get_instance_of_peers(member, pk, write=True)
    data = None if "ask" in request.POST else _posted(request)
    form = SitePeerForm(data, instance=instance, member=member, initial=_site_initial(request, instance, member))
    context = {"form": form, "instance": instance, "may_add_site": member.is_admin}
    if form.is_search:
        return show_search(request, "vpn/peers/create_site.html", context, form)
    if is_preview(request):
        refuse = partial(_refuse, instance, form)
        change = partial(_connect_site, member, instance, form)
        name = request.POST.get("site_name", "").strip()
        return show_preview(request, "vpn/peers/create_site.html", context, form, change, refuse=refuse, new_site=name)
    if data is not None and form.is_valid():
        peer = _create_site_peer(member, instance, form)
        if peer is not None:
            messages.success(request, _("%(peer)s was added.") % {"peer": peer.label})
            warn_about_subnets(request, peer)
            return redirect("peer", pk=peer.pk)
    # The parts that the form reloads during editing: what the chosen router supports, and the subnets behind it.
    fragment = "site_protocol" if request.headers.get("HX-Target") == "site_protocol" else "site_subnets"
    return render_page(request, "vpn/peers/create_site.html", context, fragment=fragment)


def warn_about_subnets(request: HttpRequest, peer: Peer) -> None:
    """Show warnings about the accepted subnets on the next page."""
    for warning in subnet_warnings_for(peer.subnets):
        messages.warning(request, warning)


def _create_client(instance: Instance, form: ClientPeerForm, admin: Membership) -> Peer | None:
    values = dict(form.cleaned_data)
    member = values.pop("user_id")
    try:
        refuse_more_days(admin, values["unused_days"])
        return create_client_peer(instance, by=admin.principal, member=member, **values)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return None


def _create_site_peer(member: Membership, instance: Instance, form: SitePeerForm) -> Peer | None:
    try:
        return _connect_site(member, instance, form)
    except (Conflict, InvalidInput) as refusal:
        _refuse(instance, form, refusal)
        return None


def _refuse(instance: Instance, form: SitePeerForm, refusal: Conflict | InvalidInput) -> None:
    """Show a refusal; where another site has a subnet, with an alias for it."""
    subnets, site = form.cleaned_data["subnets"], form.cleaned_data["site_id"]
    show_refusal(form, refusal, shown_as=_SITE_FIELDS)
    if form.has_error("subnets", SUBNET_OVERLAP):
        form.offer_aliases(proposed_aliases(site or instance, subnets or site.subnets, [instance]))


def _connect_site(member: Membership, instance: Instance, form: SitePeerForm) -> Peer:
    values = form.cleaned_data
    # In one transaction, so that a refused peer leaves no site behind.
    with transaction.atomic(), noted(note_of(form)):
        return create_site_peer(
            instance,
            by=member.principal,
            site=_with_aliases(member, instance, values) or _create_site(member, values),
            subnets=values["subnets"],
            protocol=values["protocol"],
            confirm_broad_routes=values["confirm_broad_routes"],
            expires_at=values["expires_at"],
            unused_days=values["unused_days"],
        )


def _with_aliases(member: Membership, instance: Instance, values: dict[str, Any]) -> Site | None:
    """The chosen site, with the aliases of the form in addition to its own."""
    site: Site | None = values["site_id"]
    if site is None or not values["alias"]:
        return site
    aliases = list(dict.fromkeys([*(site.alias or ()), *values["alias"]]))
    return update_site(site, by=member.principal, joining=[instance.pk], alias=aliases)


def _create_site(member: Membership, values: dict[str, Any]) -> Site:
    # The site's own subnets describe its LAN, without routes that only lead through it.
    lan = [subnet for subnet in values["subnets"] if not is_broad(parse_network(subnet))]
    return create_site(
        member.organization,
        by=member.principal,
        name=values["site_name"],
        platform=values["site_platform"] or "routeros7",
        platform_version=values["site_platform_version"],
        place=values["site_place"],
        subnets=lan,
        alias=values["alias"],
    )


def _site_initial(request: HttpRequest, instance: Instance, member: Membership) -> dict[str, Any]:
    """Initial values from a link or from the form so far: the site and its subnets, or the new site's router."""
    asked = _chosen(request, "site_id", "site_platform", "site_platform_version", "protocol", "protocol_before")
    site_id = asked.pop("site_id", "")
    found = Site.objects.filter(organization=instance.organization_id)
    try:
        site = found.filter(pk=site_id).first() if site_id else None
    except ValidationError:
        site = None
    if site is not None and not may_change_subnets(member, site.pk):
        site = None
    typed = listed(request.POST.get("subnets", ""))
    # Subnets that the form filled in for another site are replaced; typed ones stay.
    if not typed or typed in found.values_list("subnets", flat=True):
        typed = site.subnets if site else []
    return asked | ({"site_id": site.pk} if site else {}) | {"subnets": typed}


def _chosen(request: HttpRequest, *fields: str) -> dict[str, Any]:
    given = request.POST if request.method == "POST" else request.GET
    return {field: value for field in fields if (value := given.get(field, ""))}


def _posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None
