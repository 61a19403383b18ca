"""Mail seven days and one day before a peer ends by its date or without use, each once.

Of a device it goes to its owner; of a site to the admins of its organization.

A reminder is queued in the transaction that notes it, so a job that is killed sends none twice, and loses none.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, Q
from django.template.defaultfilters import date
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.mail import reaches_people
from portal.models import MailKind, Membership, Principal, QueuedMail, User
from portal.signals import mail_requested
from portal.told import told
from portal.web.language import in_language_of
from vpn.actions.change import hold_instance
from vpn.choices import InstanceState
from vpn.models import Instance, Peer
from vpn.models.querysets import PeerQuerySet

# Days before the end.
_FIRST: Final = 7
_LAST: Final = 1
_BATCH: Final = 100


def remind(seconds: float, *, by: Principal) -> bool:
    """Queue the reminders that are due, for at most this long; True if none is left. Harmless when run twice."""
    if not reaches_people():
        return True
    end = time.monotonic() + seconds
    while found := list(_due().order_by("pk").values_list("pk", "instance_id")[:_BATCH]):
        for pk, instance_id in found:
            if time.monotonic() >= end:
                return False
            with transaction.atomic():
                # Its lock keeps an action that read the peer before from saving what was noted here before.
                try:
                    hold_instance(instance_id)
                except Instance.DoesNotExist:
                    continue
                found_now = _due().select_related("member__user", "site", "instance").filter(pk=pk)
                if (peer := found_now.first()) is not None:
                    _remind(peer, by)
    return True


def reminder_message(mail: QueuedMail) -> EmailMessage:
    """The mail. Raises NotPossible if the peer does not end soon any more."""
    found = Peer.objects.admitted().select_related("member__user", "site", "instance__organization")
    peer = found.filter(pk=mail.notice).first()
    if peer is None or peer.ends_at is None or peer.ends_at != peer.reminded_for:
        raise NotPossible(_("The peer has no end to remind of any more."), told=told("mail-no-end"))
    reader = User.objects.of_address(mail.address).first() if peer.member is None else peer.member.user
    with in_language_of(reader):
        return _message(mail, peer, peer.ends_at)


def _due() -> PeerQuerySet:
    """The peers that end soon and of whose end nobody was reminded: seven days before, then a day before.

    A peer that is used every day has its days of use left, so only longer ones have a reminder.
    """
    now = timezone.now()
    # Of two ends, only the earlier one counts.
    by_date = Q(unused_until=None) | Q(unused_until__gte=F("expires_at"))
    by_use = Q(expires_at=None) | Q(expires_at__gt=F("unused_until"))
    due = Q()
    for days in (_FIRST, _LAST):
        until = now + timedelta(days=days)
        for column, counts in (("expires_at", by_date), ("unused_until", by_use & Q(unused_days__gt=days))):
            was_reminded = Q(reminded_for=F(column), reminded_days__lte=days)
            is_new = Q(reminded_for=None) | ~was_reminded
            due |= Q(counts, is_new, **{f"{column}__gt": now, f"{column}__lte": until})
    rows: PeerQuerySet = Peer.objects.admitted().filter(due)
    return rows.exclude(instance__state=InstanceState.DELETING).filter(instance__organization__reminders_off=False)


def _remind(peer: Peer, by: Principal) -> None:
    """Note the reminder of a peer whose instance is locked, and queue its mail."""
    now, end = timezone.now(), peer.ends_at
    if end is None:
        return
    days = _LAST if end <= now + timedelta(days=_LAST) else _FIRST
    Peer.objects.filter(pk=peer.pk).update(reminded_for=end, reminded_days=days)
    if peer.created_at > end - timedelta(days=days):
        return  # Whoever was given it for three days knows.
    organization_id = peer.instance.organization_id
    member = peer.member
    addresses = Membership.objects.admin_addresses(organization_id) if member is None else [member.user.email]
    for address in addresses:
        queued = QueuedMail.objects.create(
            kind=MailKind.REMINDER, address=address, notice=str(peer.pk), requested_at=now
        )
        acted(by, "created", queued)
        mail_requested.send(sender=QueuedMail, mail_id=queued.pk, organization_id=organization_id)
    if member is None:
        acted(by, "admins reminded", peer, details={"to": addresses, "days_before": days})
    else:
        acted(by, "reminded", peer, details={"to": addresses[0], "days_before": days})


def _message(mail: QueuedMail, peer: Peer, end: datetime) -> EmailMessage:
    if peer.is_site:
        return _site_message(mail, peer, end)
    words = {
        "device": peer.device or _("Your device"),
        "instance": peer.instance.name,
        "organization": peer.instance.organization.name,
        "day": date(timezone.localtime(end), _("j F Y, H:i T")),
    }
    if end == peer.unused_until:
        what = _not_used(peer)
        then = _("To keep it, use it once before: switch its tunnel on. If it has ended, renew its key on this page:")
    else:
        what = _("That is the date which an admin of %(organization)s has set.") % words
        then = _("If you need it longer, ask an admin of %(organization)s for a later date. Your device:") % words
    parts = (
        _("The VPN access of %(device)s to %(instance)s ends on %(day)s.") % words,
        what,
        then,
        f"{settings.PUBLIC_URL}{reverse('peer', args=[peer.pk])}\n",
    )
    return EmailMessage(_("%(device)s: VPN access ends on %(day)s") % words, "\n\n".join(parts), to=[mail.address])


def _site_message(mail: QueuedMail, peer: Peer, end: datetime) -> EmailMessage:
    words = {
        "site": peer.label,
        "instance": peer.instance.name,
        "organization": peer.instance.organization.name,
        "day": date(timezone.localtime(end), "j F Y, H:i T"),
    }
    if end == peer.unused_until:
        what = _not_used(peer)
        then = _("To keep it, let its router connect once before. If it has ended, renew its keys on this page:")
    else:
        what = _("That is the date which an admin of %(organization)s has set.") % words
        then = _("To keep it longer, set a later date on this page:")
    parts = (
        _("The site %(site)s ends on %(instance)s on %(day)s.") % words,
        what,
        _("From then on nothing behind its router is reached through the VPN."),
        then,
        f"{settings.PUBLIC_URL}{reverse('peer', args=[peer.pk])}\n",
    )
    return EmailMessage(_("Site %(site)s ends on %(day)s") % words, "\n\n".join(parts), to=[mail.address])


def _not_used(peer: Peer) -> str:
    count = peer.unused_days or 0
    days = ngettext("%(count)d day", "%(count)d days", count) % {"count": count}
    return _("By then it has not been used for %(days)s.") % {"days": days}
