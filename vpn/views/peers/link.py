"""A share link to a peer's profile, shown once, in the answer to a POST."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.audit.log import note
from portal.exceptions import InvalidInput, NotPossible
from portal.models import Membership
from vpn.access import get_peer, may_fetch_profile
from vpn.actions.profiles.mailed_link import can_be_mailed
from vpn.actions.profiles.profile import issue_link
from vpn.actions.profiles.refusals import PeerNotAdmitted
from vpn.models import Peer
from vpn.presenters.profiles.page import never_stored
from vpn.profiles import qr


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("link", "token", "passphrase")
def peer_link(request: HttpRequest, pk: UUID) -> HttpResponse:
    """POST creates a new link, which ends an older one; a GET leads to the peer's page."""
    member = get_member(request)
    peer = get_peer(member, pk)
    if request.method != "POST":
        return redirect("peer", pk=pk)
    if not may_fetch_profile(member, peer):
        raise PermissionDenied(_("Only admins and its owner can share this profile."))
    passphrase = request.POST.get("passphrase", "")
    try:
        link, seconds = _new_link(peer, member, passphrase)
    except NotPossible as refusal:
        messages.error(request, refusal.message)
        return redirect("peer", pk=pk)
    except InvalidInput as refusal:
        messages.error(request, " ".join(refusal.errors["passphrase"]))
        return redirect("peer", pk=pk)
    note("share_link", request, peer=peer.pk)
    until = timezone.now() + timedelta(seconds=seconds)
    context = {
        "peer": peer,
        "instance": peer.instance,
        "link": link,
        "until": min(until, peer.key_due_at or until),
        "can_mail": can_be_mailed(peer),
        "has_passphrase": bool(passphrase.strip()),
        "qr": qr.image(link, title=_("QR code of the link")),
    }
    return never_stored(render(request, "vpn/peers/link.html", context))


def _new_link(peer: Peer, member: Membership, passphrase: str) -> tuple[str, int]:
    """The full address and its life in seconds; raises NotPossible, or InvalidInput."""
    if not peer.is_admitted:
        raise PeerNotAdmitted
    token, seconds = issue_link(peer, by=member.principal, sender=member, passphrase=passphrase)
    return f"{settings.PUBLIC_URL}{reverse('shared_profile', args=[token])}", seconds
