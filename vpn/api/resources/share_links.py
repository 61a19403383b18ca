"""Share links of peers: their tokens, which are answered once, and mails with such a link."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Router

from vpn.access import get_peer, may_fetch_profile
from vpn.actions.profiles.mailed_link import mail_link
from vpn.actions.profiles.profile import find_share_link, issue_link, revoke_link
from vpn.api.protocol.answers import nothing, one
from vpn.api.protocol.auth import member_of
from vpn.api.protocol.bodies import read
from vpn.api.protocol.documentation import answers, takes
from vpn.api.protocol.errors import not_found
from vpn.api.protocol.idempotency import idempotent
from vpn.api.resources.peers import PATH, shown_with
from vpn.api.schemas.peer import TokenOut
from vpn.api.schemas.share_link import LinkMail, ShareLinkOut
from vpn.models import Peer

router = Router(tags=["Peers"])


@router.get(f"{PATH}/token", response=answers({200: ShareLinkOut}, 403, 404), summary="Read the share link's state")
def read_share_link(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """Until when the peer's share link works, whether it was opened, and what became of its mail; never its token."""
    link = find_share_link(_sharable(request, instance_id, peer_id))
    return not_found() if link is None else one(ShareLinkOut.of(link))


@router.post(
    f"{PATH}/token",
    response=answers({201: TokenOut}, 403, 404, 409, 422),
    openapi_extra=takes(None, "Idempotency-Key"),
    summary="Make a share token",
)
@idempotent
def post_token(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """A token that fetches the profile once, with `GET /client`. Older tokens of this peer end."""
    peer, member = _sharable(request, instance_id, peer_id), member_of(request)
    return one(shown_with(peer, *issue_link(peer, by=member.principal, sender=member)), status=201)


@router.delete(f"{PATH}/token", response=answers({204: None}, 403, 404), summary="Revoke the share token")
def remove_token(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """End the peer's share token, if there is one."""
    revoke_link(_sharable(request, instance_id, peer_id), by=member_of(request).principal)
    return nothing()


@router.post(
    f"{PATH}/token/mail",
    response=answers({202: ShareLinkOut}, 400, 403, 404, 409, 413, 415, 422),
    openapi_extra=takes(LinkMail, "Idempotency-Key"),
    summary="Mail a share link",
)
@idempotent
def mail_share_link(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> HttpResponse:
    """Mail the peer's user a new share link, for a day. Older links of this peer end. No answer has the link."""
    peer, member = _sharable(request, instance_id, peer_id), member_of(request)
    body = read(request, LinkMail)
    link = mail_link(peer, by=member.principal, sender=member, passphrase=body.passphrase)
    return one(ShareLinkOut.of(link), status=202)


def _sharable(request: HttpRequest, instance_id: UUID, peer_id: UUID) -> Peer:
    member = member_of(request)
    peer = get_peer(member, peer_id)
    if peer.instance_id != instance_id:
        raise Http404
    if not may_fetch_profile(member, peer):
        raise PermissionDenied("Only admins can share this profile.")
    return peer
