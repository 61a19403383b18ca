"""Sites: list, add, edit, remove."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import get_admin, get_member, get_reader
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.htmx import render_page
from portal.models import Membership, Principal
from portal.searching import as_typed, with_words
from vpn.access import get_site, instances_of, sites_of
from vpn.actions.peers.input import subnet_warnings_for
from vpn.actions.revisions.notes import noted
from vpn.actions.sites.aliases import proposed_aliases
from vpn.actions.sites.site import create_site, delete_site, update_site
from vpn.actions.sites.subnets import lan_of
from vpn.actions.unchanged import same_networks
from vpn.choices import InstanceState, Protocol
from vpn.constants import SUBNET_OVERLAP
from vpn.forms.note import NOTE, note_of
from vpn.forms.site import FIELDS, SiteForm, site_form
from vpn.models import Instance, Peer, Site
from vpn.platforms.capabilities import Capability, capabilities
from vpn.presenters.dns.name_notes import noting_names
from vpn.presenters.lists import joined
from vpn.presenters.peers.router import RouterShown, router_shown
from vpn.views.activity.preview import is_preview, show_preview

SITES_EACH_PAGE = 50


@dataclass(frozen=True)
class Connection:
    """A site's peer on one instance.

    `part` are the subnets that it advertises if these are not all of the site's, `routes` what it advertises in
    addition to the site's subnets.
    """

    peer: Peer
    part: list[str] | None
    routes: list[str]
    # What its router says, if it enrolled.
    router: RouterShown | None = None

    @classmethod
    def of(cls, peer: Peer, site: Site) -> Connection:
        """What a peer of this site advertises."""
        lan = lan_of(peer.subnets)
        part = None if same_networks(lan, site.subnets) else lan
        shown = router_shown(peer)
        router = shown if shown is not None and shown.is_enrolled else None
        return cls(peer, part, [text for text in peer.subnets if text not in lan], router)


@require_safe
def sites(request: HttpRequest) -> HttpResponse:
    """Sites with the instances that they are connected to, searched by words of name, place and subnets.

    `?place=unknown` lists those without coordinates, which do not count when a region is suggested.
    """
    member = get_reader(request)
    query = as_typed(request.GET.get("q", ""))
    asked = {"place": "unknown"} if request.GET.get("place") == "unknown" else {}
    found = _found(member, query).filter(latitude=None) if asked else _found(member, query)
    page = Paginator(found, SITES_EACH_PAGE).get_page(request.GET.get("page"))
    page.object_list = list(page.object_list)
    _load_peers(page.object_list)
    context = {
        "page": page,
        "query": query,
        "without_place": bool(asked),
        "page_query": f"{urlencode(asked | {'q': query})}&" if query or asked else "",
        "may_change": member.is_admin,
    }
    return render_page(request, "vpn/sites/list.html", context, fragment="rows")


@require_http_methods(["GET", "HEAD", "POST"])
def site_new(request: HttpRequest) -> HttpResponse:
    """Add a site."""
    member = get_admin(request)
    form = SiteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        site = _create(member, form)
        if site is not None:
            messages.success(request, _("%(site)s was added. Connect it to an instance next.") % {"site": site.name})
            return redirect("site", pk=site.pk)
    return render(request, "vpn/sites/create.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
def site(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One site: its details, and for admins the form that changes it."""
    member = get_member(request)
    found = get_site(member, pk, write=request.method == "POST")
    form = site_form(found, request.POST if request.method == "POST" else None)
    shown = get_site(member, pk)  # without the values of a refused form
    _load_peers([shown])
    connections = [Connection.of(peer, shown) for peer in shown.peers.all()]
    context = {
        "form": form,
        "site": shown,
        "connections": connections,
        "connected_to": joined([one.peer.instance.name for one in connections] or [""]),
        "connectable": _connectable(member, shown) if member.is_admin else [],
        "protocols": _protocols_of(shown),
        "may_change": member.is_admin,
    }
    if is_preview(request):
        refuse = partial(_refuse, found, form)
        notes: list[str] = []
        change = noting_names(notes, Peer.objects.filter(site=found), lambda: _change(found, form, member.principal))
        return show_preview(request, "vpn/sites/page.html", context, form, change, refuse=refuse, notes=notes)
    if request.method == "POST" and form.is_valid() and _update(found, form, member.principal):
        messages.success(request, _("%(site)s was saved.") % {"site": form.cleaned_data["name"]})
        for warning in subnet_warnings_for(form.cleaned_data["subnets"]):
            messages.warning(request, warning)
        return redirect("site", pk=pk)
    return render(request, "vpn/sites/page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def site_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Delete a site that is not connected to any instance."""
    member = get_member(request)
    found = get_site(member, pk, write=True)
    _load_peers([found])
    if request.method != "POST":
        return render(request, "vpn/sites/delete.html", {"site": found})
    try:
        delete_site(found, by=member.principal)
    except Conflict as refusal:
        return render(request, "vpn/sites/delete.html", {"site": found, "refusal": refusal.message}, status=409)
    messages.success(request, _("%(found)s was deleted.") % {"found": found.name})
    return redirect("sites")


def _found(member: Membership, query: str) -> QuerySet[Site]:
    return with_words(sites_of(member), query, "name", "place", "subnets").order_by("name")


def _connectable(member: Membership, found: Site) -> list[Instance]:
    """The instances to which the site can be connected."""
    rows = instances_of(member).exclude(state__in=[InstanceState.DELETING, InstanceState.LOST])
    return list(rows.exclude(peers__site=found).order_by("name"))


def _protocols_of(found: Site) -> list[tuple[str, Capability]]:
    """What the site's router supports, by protocol."""
    can = capabilities(found.platform, found.platform_version)
    return [(protocol.label, can[protocol]) for protocol in Protocol]


def _load_peers(found: list[Site]) -> None:
    """Fetch the sites' peers and their instances with one query."""
    # Each peer's `site` is set from the list: with a join PostgreSQL reads the sites of all tenants.
    joined = ("instance__observation", "instance__public_name", "observation", "router")
    peers = Peer.objects.select_related(*joined).order_by("instance__name")
    prefetch_related_objects(found, Prefetch("peers", queryset=peers))


def _create(member: Membership, form: SiteForm) -> Site | None:
    try:
        values = {field: form.cleaned_data[field] for field in FIELDS}
        return create_site(member.organization, by=member.principal, **values)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return None


def _change(found: Site, form: SiteForm, by: Principal) -> Site:
    changes = {field: value for field, value in form.cleaned_data.items() if field not in {"subnets_shown", NOTE}}
    if form.leaves_subnets:
        del changes["subnets"]
    with noted(note_of(form)):
        return update_site(found, by=by, **changes)


def _update(found: Site, form: SiteForm, by: Principal) -> bool:
    try:
        _change(found, form, by)
    except (Conflict, InvalidInput) as refusal:
        _refuse(found, form, refusal)
        return False
    return True


def _refuse(found: Site, form: SiteForm, refusal: Conflict | InvalidInput) -> None:
    """Show a refusal; where another site has a subnet, with an alias for it."""
    subnets = form.cleaned_data["subnets"]
    show_refusal(form, refusal)
    if form.has_error("subnets", SUBNET_OVERLAP):
        instances = Instance.objects.filter(peers__site=found)
        form.offer_aliases(proposed_aliases(found, subnets, instances))
