"""Mail to the owner of an account when its password or a second factor changed."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from portal.actions.acting import acted
from portal.mail import reaches_people
from portal.models import MailKind, Principal, QueuedMail, User
from portal.signals import mail_requested

# What happened, by allauth's names where it has one: the subject, which is also the first sentence.
NOTICES: Final = {
    "password_changed": "Your password was changed",
    "password_reset": "Your password was set by a mailed link",
    "password_set": "Your password was set by a sign-in link",
    "totp_activated": "An authenticator app was added to your account",
    "totp_deactivated": "The authenticator app of your account was removed",
    "recovery_codes_generated": "New recovery codes were made for your account",
    "webauthn_added": "A passkey was added to your account",
    "webauthn_removed": "A passkey was removed from your account",
    "second_factor_reset": "The second factor of your account was reset",
}


def queue_notice(user: User, notice: str, *, by: Principal, origin: str = "") -> None:
    """Queue the mail; `origin` is address and browser. Without a mail server, nothing is queued."""
    if not reaches_people():
        return
    with transaction.atomic():
        queued = QueuedMail.objects.create(
            kind=MailKind.NOTICE, address=user.email, notice=notice, origin=origin[:200], requested_at=timezone.now()
        )
        acted(by, "created", queued)
        mail_requested.send(sender=QueuedMail, mail_id=queued.pk, organization_id=None)


def notice_message(mail: QueuedMail) -> EmailMessage:
    """Return the mail."""
    subject = NOTICES[mail.notice]
    context = {"mail": mail, "subject": subject, "page": settings.PUBLIC_URL + reverse("mfa_index")}
    body = render_to_string("account/email/notice.txt", context).strip()
    return EmailMessage(subject=f"{subject} (VPN portal)", body=body, to=[mail.address])
