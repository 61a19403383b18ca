"""A member's one-time link by mail: where the portal sends mail, who adds a person never sees their link."""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException
from typing import Final

from django.conf import settings
from django.core.cache import cache
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.crypto import salted_hmac

from portal.actions.sign_in_link import one_time_link
from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState

logger = logging.getLogger(__name__)
# Nobody's mailbox is filled by somebody who presses a button.
_PAUSE: Final = timedelta(minutes=1)
# Nor by who removes a person and adds them again. Counted for the organization alone: another one's mails tell nothing.
MOST_IN_AN_HOUR: Final = 10
FAULT: Final = "The mail server did not take it"
TOO_MANY: Final = "This address was sent many links in the last hour. Send another one in an hour."
_HOUR: Final = 3600
_SALT: Final = "portal.link-mail"


def mail_link(membership: Membership) -> bool:
    """Mail a new link to a member; False where it was not sent: their page says why.

    Raises NotPossible where they may have none, or had one less than a minute ago.
    """
    link = one_time_link(membership, mailed=True)
    now = timezone.now()
    # One statement decides who sends, so that two presses of a button send one mail.
    recent = {"link_mailed_at__gt": now - _PAUSE, "link_fault": ""}
    if not Membership.objects.filter(pk=membership.pk).exclude(**recent).update(link_mailed_at=now, link_fault=""):
        raise NotPossible("A link was mailed a moment ago.", next_step="Wait a minute before you send another.")
    membership.link_mailed_at = now
    membership.link_fault = TOO_MANY if _are_too_many(membership) else _send(membership, link)
    if membership.link_fault:
        Membership.objects.filter(pk=membership.pk).update(link_fault=membership.link_fault)
    return not membership.link_fault


def _are_too_many(membership: Membership) -> bool:
    """Count one more mail to this address, by the organization; Redis is told no address."""
    address = salted_hmac(_SALT, membership.user.email.lower(), algorithm="sha256").hexdigest()[:32]
    key = f"link-mail:{membership.organization_id}:{address}"
    cache.add(key, 0, _HOUR)
    try:
        return cache.incr(key) > MOST_IN_AN_HOUR
    except ValueError:  # the hour ended in between
        return False


def _send(membership: Membership, link: str) -> str:
    """ "" where it was sent, else what went wrong, without the address or the link."""
    context = {
        "organization": membership.organization,
        "link": link,
        "is_invitation": membership.state == MembershipState.INVITED,
        "days": settings.PASSWORD_RESET_TIMEOUT // 86400,
    }
    verb = "Join" if context["is_invitation"] else "A new password for"
    try:
        send_mail(
            f"{verb} {membership.organization.name}",
            render_to_string("portal/link_mail.txt", context),
            None,
            [membership.user.email],
        )
    except (SMTPException, OSError) as error:
        logger.warning("The link of member %s could not be mailed: %s", membership.pk, type(error).__name__)
        return f"{FAULT} ({type(error).__name__})."
    return ""
