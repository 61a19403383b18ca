"""Mail a member's one-time link. If the portal sends mail, the inviting admin never sees the link."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.actions.sign_in_link import one_time_link
from portal.exceptions import NotPossible
from portal.models import MailKind, Membership, MembershipState, Principal, QueuedMail
from portal.models.queued_mail import LONGEST_FAULT
from portal.signals import mail_requested
from portal.told import as_text, told
from portal.web.language import in_language_of

# Repeated requests must not fill a mailbox.
_PAUSE: Final = timedelta(minutes=1)
# Nor must removing and adding a person repeatedly. Counted per organization, so that it reveals nothing about others.
MOST_IN_AN_HOUR: Final = 10
TOO_MANY: Final = as_text(told("mail-too-many"), LONGEST_FAULT)
_HOUR: Final = 3600
_SALT: Final = "portal.link-mail"


def mail_link(membership: Membership, *, by: Principal) -> bool:
    """Queue a mail with a new link to a member; False if none will be sent, and their page says why.

    A worker sends it, so a slow mail server delays no page. Raises NotPossible if the member may have no link, or got
    one less than a minute ago.
    """
    one_time_link(membership, mailed=True)
    now = timezone.now()
    recent = {"link_mailed_at__gt": now - _PAUSE, "link_fault": ""}
    asked = Membership.objects.filter(pk=membership.pk).exclude(**recent)
    if not asked.exists():
        raise _a_moment_ago()
    # Redis is queried before the transaction begins.
    fault = TOO_MANY if is_crowded_mailbox(membership.organization_id, membership.user.email) else ""
    with transaction.atomic():
        # One conditional UPDATE, so that two simultaneous requests send one mail.
        if not asked.update(link_mailed_at=now, link_fault=fault):
            raise _a_moment_ago()
        acted(by, "link mailed", membership)
        if not fault:
            _queue(membership, now)
    membership.link_mailed_at, membership.link_fault = now, fault
    return not fault


def _a_moment_ago() -> NotPossible:
    return NotPossible(_("A link was mailed a moment ago."), next_step=_("Wait a minute before you send another."))


def _queue(membership: Membership, now: datetime) -> None:
    anew = {"kind": MailKind.LINK, "requested_at": now, "claimed_at": None, "fault": ""}
    queued, _created = QueuedMail.objects.update_or_create(membership=membership, defaults=anew)
    mail_requested.send(sender=QueuedMail, mail_id=queued.pk, organization_id=membership.organization_id)


def link_message(membership: Membership) -> EmailMessage:
    """Return the mail with a new link, in the member's language. Raises NotPossible if they may have none any more."""
    context = {
        "organization": membership.organization,
        "link": one_time_link(membership, mailed=True),
        "is_invitation": membership.state == MembershipState.INVITED,
        "days": settings.PASSWORD_RESET_TIMEOUT // 86400,
    }
    with in_language_of(membership.user):
        subject = _("Join %(organization)s") if context["is_invitation"] else _("A new password for %(organization)s")
        return EmailMessage(
            subject=subject % {"organization": membership.organization.name},
            body=render_to_string("portal/link_mail.txt", context),
            to=[membership.user.email],
        )


def is_crowded_mailbox(organization_id: UUID, mailbox: str) -> bool:
    """Count a link mailed to this address by the organization, and say if it is too many in an hour.

    The key in Redis contains no address.
    """
    address = salted_hmac(_SALT, mailbox.lower(), algorithm="sha256").hexdigest()[:32]
    key = f"link-mail:{organization_id}:{address}"
    cache.add(key, 0, _HOUR)
    try:
        return cache.incr(key) > MOST_IN_AN_HOUR
    except ValueError:  # the hour ended meanwhile
        return False
