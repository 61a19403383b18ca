"""A device is reported as lost: it is shut out at once and for good, and the admins are told by mail."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import MailKind, Membership, Principal, QueuedMail, User
from portal.signals import mail_requested
from portal.told import told
from portal.web.language import in_language_of
from vpn.actions.activity import planning
from vpn.actions.change import Scope
from vpn.actions.peers.keys import end_keys, renew_keys
from vpn.actions.peers.row import fresh_peer
from vpn.choices import EndReason, InstanceState, ServerState
from vpn.connections.acting import end_connection
from vpn.models import Peer, PeerObservation


def report_lost(peer: Peer, *, by: Principal) -> Peer:
    """Disable a device and end its keys, so that what it has opens nothing even if the peer is enabled again.

    Of one that is lost already, nobody is told again. A lost hub follows once it is found again or rebuilt: the device
    is not enabled there any more, and has other keys. Raises NotPossible for a deleted peer, or a router.
    """
    if peer.is_site:
        raise NotPossible(_("Only a device can be reported as lost."))
    with planning.planned_change(
        peer.instance_id, by=by, scope=Scope.PEERS, urgent=True, is_noted=False, even_lost=True
    ) as locked:
        fresh = fresh_peer(peer, locked)
        planning.touch_peer(fresh)
        end_keys(fresh, locked, by=by)
        end_connection(fresh, EndReason.REVOKED)
        renew_keys(fresh, locked, by=by)
        is_known = fresh.lost_at is not None
        fresh.enabled, fresh.lost_at = False, fresh.lost_at or timezone.now()
        fresh.changed_generation = locked.desired_generation
        fresh.save()
        PeerObservation.objects.filter(peer=fresh).update(connected_from=None)
        acted(by, "reported lost", fresh)
        if not is_known:
            _tell_admins(fresh, by)
    return fresh


def _tell_admins(peer: Peer, by: Principal) -> None:
    organization_id = peer.instance.organization_id
    for address in Membership.objects.admin_addresses(organization_id):
        queued = QueuedMail.objects.create(
            kind=MailKind.LOST,
            address=address,
            notice=str(peer.pk),
            origin=f"{by.name or by}"[:200],
            organization_id=organization_id,
            requested_at=timezone.now(),
        )
        acted(by, "created", queued)
        mail_requested.send(sender=QueuedMail, mail_id=queued.pk, organization_id=organization_id)


def lost_message(mail: QueuedMail) -> EmailMessage:
    """The mail to an admin. Raises NotPossible if the peer was removed meanwhile."""
    peer = Peer.objects.select_related("instance__server", "member__user", "site").filter(pk=mail.notice).first()
    if peer is None:
        raise NotPossible(_("The device was removed meanwhile."), told=told("mail-device-removed"))
    with in_language_of(User.objects.of_address(mail.address).first()):
        return _message(mail, peer)


def _waits(peer: Peer) -> bool:
    """Does the end of a device wait for a hub that the portal does not reach?"""
    hub, server = peer.instance, peer.instance.server
    is_away = hub.state == InstanceState.LOST or (server is not None and server.state == ServerState.UNREACHABLE)
    return is_away and peer.hub_may_admit


def _message(mail: QueuedMail, peer: Peer) -> EmailMessage:
    values = {"device": peer.label, "reporter": mail.origin, "instance": peer.instance.name}
    ended = _("The VPN %(instance)s does not let it in any more, and its keys ended.")
    waits = _("The hub of the VPN %(instance)s has not confirmed yet that it does not let it in any more.")
    parts = (
        _("%(reporter)s reported %(device)s as lost.") % values,
        (waits if _waits(peer) else ended) % values,
        _("If it turns up again, enable it here, and fetch a new profile:"),
        f"{settings.PUBLIC_URL}{reverse('peer', args=[peer.pk])}\n",
    )
    return EmailMessage(_("Lost device: %(device)s") % values, "\n\n".join(parts), to=[mail.address])
