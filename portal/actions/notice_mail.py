"""Mail to the owner of an account when its password or a second factor changed."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.actions.acting import acted
from portal.mail import reaches_people
from portal.models import MailKind, Principal, QueuedMail, User
from portal.signals import mail_requested
from portal.web.language import in_language_of

# What happened, by allauth's names where it has one: the subject, which is also the first sentence.
NOTICES: Final = {
    "password_changed": gettext_lazy("Your password was changed"),
    "password_reset": gettext_lazy("Your password was set by a mailed link"),
    "password_set": gettext_lazy("Your password was set by a sign-in link"),
    "totp_activated": gettext_lazy("An authenticator app was added to your account"),
    "totp_deactivated": gettext_lazy("The authenticator app of your account was removed"),
    "recovery_codes_generated": gettext_lazy("New recovery codes were made for your account"),
    "webauthn_added": gettext_lazy("A passkey was added to your account"),
    "webauthn_removed": gettext_lazy("A passkey was removed from your account"),
    "provider_connected": gettext_lazy("An organization's sign-in provider was connected to your account"),
    "second_factor_reset": gettext_lazy("The second factor of your account was reset"),
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
    """Return the mail, in the language of the address's account."""
    with in_language_of(User.objects.of_address(mail.address).first()):
        subject = str(NOTICES[mail.notice])
        context = {"mail": mail, "subject": subject, "page": settings.PUBLIC_URL + reverse("mfa_index")}
        body = render_to_string("account/email/notice.txt", context).strip()
        return EmailMessage(subject=_("%(subject)s (VPN portal)") % {"subject": subject}, body=body, to=[mail.address])
