"""The mail for a forgotten password."""

from __future__ import annotations

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import MailKind, Principal, QueuedMail, User
from portal.signals import mail_requested
from portal.web.language import in_language_of


def request_reset_mail(address: str, *, by: Principal) -> None:
    """Queue the mail. The worker looks up the account, so this call does not reveal whether there is one."""
    with transaction.atomic():
        queued = QueuedMail.objects.create(kind=MailKind.RESET, address=address, requested_at=timezone.now())
        acted(by, "created", queued)
        mail_requested.send(sender=QueuedMail, mail_id=queued.pk, organization_id=None)


def reset_message(address: str) -> EmailMessage:
    """Return the mail with a new link, or one that says that there is no account."""
    # One account, the proven one if there is one. Setting its password by mail proves its address.
    user = next((user for user in User.objects.recoverable(address) if user.is_active), None)
    if user is None:
        return _message("account/email/unknown_account", address)
    # Send to the account's own address, not the typed one: ignoring case, PostgreSQL may match a dotless i with an i.
    with in_language_of(user):
        return _message("account/email/password_reset_key", user.email, user=user, password_reset_url=_link(user))


def _link(user: User) -> str:
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
    return str(settings.PUBLIC_URL) + path.replace("UID-KEY", key)


def _message(template: str, address: str, **context: object) -> EmailMessage:
    return EmailMessage(
        subject=render_to_string(f"{template}_subject.txt", context).strip(),
        body=render_to_string(f"{template}_message.txt", context).strip(),
        to=[address],
    )
