"""A site's router that enrols by itself: the line to paste, reported subnets, and what it went back from."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import get_member
from portal.audit.log import note
from portal.exceptions import Conflict, InvalidInput
from portal.models import Membership
from vpn.access import get_peer, may_change_subnets
from vpn.actions.peers.peer import update_peer
from vpn.actions.sites.router import ENROLMENT_TTL, offer_again, offer_enrolment
from vpn.models import Peer
from vpn.presenters.peers.router import router_of
from vpn.presenters.profiles.page import never_stored
from vpn.routers.script import enrolment_lines


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("token", "context")
def peer_enrol(request: HttpRequest, pk: UUID) -> HttpResponse:
    """POST makes a token and shows the line to paste, once; a GET leads to the peer's page."""
    member = get_member(request)
    peer = _get_site_peer(member, pk)
    if request.method != "POST":
        return redirect("peer", pk=pk)
    try:
        token = offer_enrolment(peer, by=member.principal)
    except Conflict as refusal:
        messages.error(request, refusal.message)
        return redirect("peer", pk=pk)
    note("router_enrolment", request, peer=peer.pk)
    context = {
        "peer": peer,
        "instance": peer.instance,
        "lines": enrolment_lines(token),
        "is_secure": settings.PUBLIC_URL.startswith("https:"),
        "until": timezone.now() + ENROLMENT_TTL,
    }
    return never_stored(render(request, "vpn/peers/enrol.html", context))


@require_POST
def peer_router_subnets(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Advertise the reported subnets that were ticked, besides those that the peer has."""
    member = get_member(request)
    peer = _get_site_peer(member, pk)
    if peer.site_id is None or not may_change_subnets(member, peer.site_id):
        raise PermissionDenied(_("This site is also connected to instances that you do not manage."))
    row = router_of(peer)
    reported = row.reported_subnets if row is not None else []
    chosen = [one for one in request.POST.getlist("subnet") if one in reported and one not in peer.subnets]
    if not chosen:
        messages.info(request, _("No subnet was chosen, so nothing changed."))
        return redirect("peer", pk=pk)
    try:
        update_peer(peer, by=member.principal, subnets=[*peer.subnets, *chosen])
    except (Conflict, InvalidInput) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Advertised from now on: %(subnets)s.") % {"subnets": ", ".join(chosen)})
    return redirect("peer", pk=pk)


@require_POST
def peer_router_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Offer the router once more the configuration from which it went back."""
    member = get_member(request)
    peer = _get_site_peer(member, pk)
    offer_again(peer, by=member.principal)
    messages.success(request, _("The router gets the configuration again at its next check-in."))
    return redirect("peer", pk=pk)


def _get_site_peer(member: Membership, pk: UUID) -> Peer:
    """A site's peer that this member may change; devices have no router."""
    peer = get_peer(member, pk, write=True)
    if not peer.is_site:
        raise Http404
    return peer
