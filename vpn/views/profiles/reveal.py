"""Revealing a profile: as a page with a QR code, or as the file itself."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.audit.log import note
from portal.exceptions import Conflict
from vpn.access import get_peer, may_fetch_profile
from vpn.actions.profiles.profile import Wanted, deliver_profile
from vpn.actions.profiles.refusals import HubNotReady, KeyDestroyed, NotOffered
from vpn.models import Peer
from vpn.presenters.profiles.family import asked_family
from vpn.presenters.profiles.page import asked_file, never_stored, prefers_text, profile_context, wants_file
from vpn.views.profiles.hub_wait import not_ready, wait_for_hub
from vpn.views.profiles.importing import import_context


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("delivery", "context")
def peer_profile(request: HttpRequest, pk: UUID) -> HttpResponse:
    """POST shows the profile; a GET, as after a reload or from a bookmark, leads to the peer's page."""
    member = get_member(request)
    peer = get_peer(member, pk)
    if request.method != "POST":
        return redirect("peer", pk=pk)
    if not may_fetch_profile(member, peer):
        raise PermissionDenied(_("Only admins and its owner can fetch this profile."))
    try:
        delivery = deliver_profile(peer, Wanted(family=asked_family(request)), by=member.principal)
    except Conflict as refusal:
        return _refused(request, peer, refusal)
    except NotOffered:
        # The hub no longer has that address.
        raise Http404 from None
    note("reveal", request, peer=peer.pk, form="file" if wants_file(request) else "page with its QR code")
    if wants_file(request):
        return asked_file(request, peer, delivery)
    context = profile_context(request, peer, delivery) | import_context(peer, by=member.principal)
    return never_stored(render(request, "vpn/profiles/reveal.html", context))


def _refused(request: HttpRequest, peer: Peer, refusal: Conflict) -> HttpResponse:
    waiting = isinstance(refusal, HubNotReady)
    status = 503 if waiting else 409
    if prefers_text(request):
        response = HttpResponse(f"{refusal.message}\n", status=status, content_type="text/plain; charset=utf-8")
    else:
        context = {"peer": peer, "instance": peer.instance, "refusal": refusal.message}
        context["renews"] = isinstance(refusal, KeyDestroyed)
        if isinstance(refusal, HubNotReady):
            context |= not_ready(refusal)
        response = render(request, "vpn/profiles/refused.html", context, status=status)
    if isinstance(refusal, HubNotReady):
        response = wait_for_hub(request, refusal, response)
    return never_stored(response)
