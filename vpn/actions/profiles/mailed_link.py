"""Mail a share link to the person whom a peer belongs to; whoever asks for it never sees the link.

The link is kept nowhere. Its token is derived from the row and the portal's key by the worker that sends the mail, so a
second try sends the same link, and neither the database nor Redis holds it. The row has its digest, as for others.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.defaultfilters import date
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from portal.actions.acting import acted
from portal.actions.link_mail import is_crowded_mailbox
from portal.exceptions import NotPossible
from portal.mail import reaches_people
from portal.models import MailKind, Membership, MembershipState, Principal, QueuedMail
from portal.signals import mail_requested
from portal.told import told
from portal.web.language import in_language_of
from vpn.actions.profiles.passphrase import passphrase_hash
from vpn.actions.profiles.profile import digest_of, lock_peer, refuse_destroyed, replace_link
from vpn.actions.profiles.refusals import PeerNotAdmitted
from vpn.choices import KeyCustody
from vpn.constants import SHARE_MAIL_TTL
from vpn.models import Instance, LinkKind, Peer, ProfileLink

_SALT: Final = "vpn.mailed-link"
# Repeated requests must not fill a mailbox.
_PAUSE: Final = timedelta(minutes=1)


def can_be_mailed(peer: Peer) -> bool:
    """Can a link be mailed to the peer's person now?"""
    return reaches_people() and bool(_address(peer)) and peer.is_admitted and _is_shared(peer)


@sensitive_variables("passphrase")
def mail_link(peer: Peer, *, by: Principal, sender: Membership, passphrase: str = "") -> ProfileLink:
    """Queue a mail with a new share link to the peer's person, for a day; older links end.

    The mail never contains the passphrase. Raises NotPossible or one of its kinds, or InvalidInput for the passphrase.
    """
    hashed = passphrase_hash(passphrase)
    _refuse_full_mailbox(peer, _refuse_unmailable(peer))
    try:
        with transaction.atomic():
            locked = lock_peer(peer.pk, peer.instance_id)
            # What was read may have changed, and another request may have mailed one.
            address = _refuse_unmailable(locked)
            _refuse_haste(locked)
            link = ProfileLink(peer=locked, made_by=sender, passphrase_hash=hashed, mailed_to=address)
            link.digest = digest_of(_token(link.pk, settings.SECRET_KEY))
            replace_link(link, SHARE_MAIL_TTL, by=by)
            _queue(link, by)
    except (Peer.DoesNotExist, Instance.DoesNotExist):
        raise NotPossible(_("This peer was deleted meanwhile.")) from None
    return link


def share_message(mail: QueuedMail) -> EmailMessage:
    """The mail with the link. Raises NotPossible if the link has ended or was opened meanwhile.

    Also if the person has another address now, or may not sign in any more: the mail would reach somebody else.
    """
    found = ProfileLink.objects.select_related("peer__instance__organization", "peer__member__user", "made_by__user")
    link = found.filter(pk=mail.notice, expires_at__gt=timezone.now(), browser_digest="").first()
    if link is None or not link.peer.is_admitted or not link.peer.has_profile or link.peer.member is None:
        raise NotPossible(_("The link has ended meanwhile."), told=told("mail-link-ended"))
    if _address(link.peer) != mail.address:
        raise NotPossible(_("The link has ended meanwhile."), told=told("mail-link-ended"))
    # The portal's key may have been rotated since.
    tokens = (_token(link.pk, key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
    token = next((token for token in tokens if digest_of(token) == link.digest), None)
    if token is None:
        raise NotPossible(_("The link has ended meanwhile."), told=told("mail-link-ended"))
    with in_language_of(link.peer.member.user):
        return _message(mail, link, token)


def note_outcome(mail: QueuedMail, fault: str, *, by: Principal) -> None:
    """Note on the link that the mail server took its mail, or why it did not. The mail has the journal's line.

    The link ends if its address is not the person's any more: no mail goes there. `fault` is of `portal.told`, as text.
    """
    link = ProfileLink.objects.select_related("peer__member__user").filter(pk=mail.notice).first()
    if link is None:
        return
    with transaction.atomic():
        if fault and _address(link.peer) != mail.address:
            link.delete()
            acted(by, "share link revoked", link.peer)
            return
        fields = {"mail_fault": fault} if fault else {"mail_fault": "", "mailed_at": timezone.now()}
        ProfileLink.objects.filter(pk=link.pk).update(**fields)
        acted(by, "mail answered", link.peer)


def _is_shared(peer: Peer) -> bool:
    return peer.has_profile and peer.key_custody != KeyCustody.DEVICE


def _address(peer: Peer) -> str:
    """Where the person reads mail; "" for a router, and for who may not sign in any more."""
    member = peer.member
    if member is None or member.state == MembershipState.DEACTIVATED or not member.user.is_active:
        return ""
    return "" if member.is_invitation_over else member.user.email


def _refuse_unmailable(peer: Peer) -> str:
    if not reaches_people():
        raise NotPossible(_("This portal sends no mail."), next_step=_("Make a link, and hand it over."))
    if not peer.is_admitted:
        raise PeerNotAdmitted
    refuse_destroyed(peer)
    if peer.key_custody == KeyCustody.DEVICE:
        step = _("It makes a new profile with its own key.")
        raise NotPossible(_("Only this device has its private key, so a link would not connect it."), next_step=step)
    if not (address := _address(peer)):
        raise NotPossible(_("This peer has no person to whom mail can go."))
    return address


def _refuse_haste(peer: Peer) -> None:
    """Of a peer whose instance is locked."""
    recent = ProfileLink.objects.filter(peer=peer, kind=LinkKind.SHARE, mail_fault="").exclude(mailed_to="")
    if recent.filter(created_at__gt=timezone.now() - _PAUSE).exists():
        step = _("Wait a minute before you mail another.")
        raise NotPossible(_("A link was mailed a moment ago."), next_step=step)


def _refuse_full_mailbox(peer: Peer, address: str) -> None:
    """Before the transaction, as Redis is asked."""
    if is_crowded_mailbox(peer.instance.organization_id, address):
        step = _("Mail another one in an hour.")
        raise NotPossible(_("This address was sent many links in the last hour."), next_step=step)


def _queue(link: ProfileLink, by: Principal) -> None:
    organization_id = link.peer.instance.organization_id
    queued = QueuedMail.objects.create(
        kind=MailKind.SHARE,
        address=link.mailed_to,
        notice=str(link.pk),
        organization_id=organization_id,
        requested_at=timezone.now(),
    )
    acted(by, "created", queued)
    mail_requested.send(sender=QueuedMail, mail_id=queued.pk, organization_id=organization_id)


def _token(link_id: UUID, key: str) -> str:
    secret = salted_hmac(_SALT, link_id.hex, secret=key, algorithm="sha256").digest()  # 256 bits, as of other links
    return urlsafe_b64encode(secret).rstrip(b"=").decode()


@sensitive_variables("token", "tokens", "context", "body")
def _message(mail: QueuedMail, link: ProfileLink, token: str) -> EmailMessage:
    peer = link.peer
    context = {
        "device": peer.device,
        "instance": peer.instance.name,
        "organization": peer.instance.organization.name,
        "sender": "" if link.made_by is None or link.made_by == peer.member else link.made_by.label,
        "link": f"{settings.PUBLIC_URL}{reverse('shared_profile', args=[token])}",
        "asks_passphrase": bool(link.passphrase_hash),
        "until": date(timezone.localtime(link.expires_at), "j F Y, H:i T"),
    }
    subject = _("Your VPN profile for %(instance)s") % context
    body = render_to_string("vpn/profiles/link_mail.txt", context).strip() + "\n"
    return EmailMessage(subject, body, to=[mail.address])
