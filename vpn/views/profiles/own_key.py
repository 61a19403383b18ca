"""A key pair made in the browser: its page, and the profile to which the browser adds the private key.

The portal learns the public key alone. `static/js/own-key.js` makes the pair and sends the form.
"""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.audit.log import note
from portal.exceptions import Conflict, InvalidInput
from vpn.access import get_fetchable
from vpn.actions.peers.keys import take_own_key
from vpn.actions.profiles.profile import Wanted, deliver_profile
from vpn.actions.profiles.refusals import HubNotReady, NotOffered, PeerNotAdmitted
from vpn.presenters.profiles.family import asked_family
from vpn.presenters.profiles.page import never_stored, own_key_context, profile_context
from vpn.views.profiles.hub_wait import wait_for_hub


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("delivery", "context")
def peer_key(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET offers to make a pair. POST takes its public key, and answers the profile once the hub has the peer.

    The browser sends the same key again as long as the answer is 503.
    """
    member = get_member(request)
    peer = get_fetchable(member, pk)
    if peer.is_site or peer.is_openvpn:
        raise Http404
    if request.method != "POST":
        context = {"peer": peer, "instance": peer.instance, "window": member.organization.key_window}
        context["qr_script"] = settings.QR_SCRIPT
        return never_stored(render(request, "vpn/profiles/own_key.html", context))
    try:
        if not peer.is_admitted:
            raise PeerNotAdmitted
        take_own_key(peer, request.POST.get("public_key", ""), by=member.principal)
        # With all that a page shows, and its new key.
        peer = get_fetchable(member, pk)
        delivery = deliver_profile(peer, Wanted(family=asked_family(request)), by=member.principal)
    except InvalidInput as refusal:
        return _said(str(refusal), 422)
    except HubNotReady as refusal:
        return _not_yet(request, refusal)
    except Conflict as refusal:
        return _said(refusal.message, 409)
    except NotOffered:
        raise Http404 from None
    note("reveal", request, peer=peer.pk, form="page for a key of the device")
    context = profile_context(request, peer, delivery) | own_key_context(request, peer, delivery)
    return never_stored(render(request, "vpn/profiles/reveal.html", context))


def _not_yet(request: HttpRequest, refusal: HubNotReady) -> HttpResponse:
    response = wait_for_hub(request, refusal, _said(refusal.message, 503))
    if not refusal.may_come:
        del response.headers["Retry-After"]
    return response


def _said(words: str, status: int) -> HttpResponse:
    """A refusal, which the page shows beside its button."""
    return never_stored(HttpResponse(words, status=status, content_type="text/plain; charset=utf-8"))
