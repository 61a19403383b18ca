"""A share link that is mailed to the peer's person, and the end of a link."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import get_member
from portal.audit.log import note
from portal.exceptions import InvalidInput, NotPossible
from vpn.access import get_fetchable, get_peer, may_fetch_profile
from vpn.actions.profiles.mailed_link import can_be_mailed, mail_link
from vpn.actions.profiles.passphrase import LEAST_LENGTH, MOST_LENGTH
from vpn.actions.profiles.profile import revoke_link
from vpn.constants import SHARE_MAIL_TTL


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("passphrase")
def peer_link_mail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET says to whom and until when, and offers a passphrase. POST queues the mail."""
    member = get_member(request)
    peer = get_fetchable(member, pk)
    if peer.member is None:
        raise Http404
    if request.method != "POST" and not can_be_mailed(peer):
        return redirect("peer", pk=pk)
    fault = ""
    if request.method == "POST":
        passphrase = request.POST.get("passphrase", "")
        try:
            mail_link(peer, by=member.principal, sender=member, passphrase=passphrase)
        except NotPossible as refusal:
            messages.error(request, refusal.message)
            return redirect("peer", pk=pk)
        except InvalidInput as refusal:
            fault = " ".join(refusal.errors["passphrase"])
        else:
            note("share_link", request, peer=peer.pk, mailed=True)
            messages.success(request, _("A link is on its way to %(mail)s.") % {"mail": peer.member.user.email})
            return redirect("peer", pk=pk)
    context = {
        "peer": peer,
        "instance": peer.instance,
        "hours": SHARE_MAIL_TTL // 3600,
        "fault": fault,
        "least": LEAST_LENGTH,
        "most": MOST_LENGTH,
    }
    return render(request, "vpn/peers/link_mail.html", context, status=422 if fault else 200)


@require_POST
def peer_link_end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End the share link of a peer."""
    member = get_member(request)
    peer = get_peer(member, pk)
    if not may_fetch_profile(member, peer):
        raise PermissionDenied(_("Only admins and its owner can share this profile."))
    revoke_link(peer, by=member.principal)
    messages.success(request, _("The share link has ended."))
    return redirect("peer", pk=pk)
