"""Where mail goes while EMAIL_URL names no mail server: onto a page for staff."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class ShownMail(BaseEmailBackend):
    """Keeps each message for staff to read, and to pass on."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Keep the messages; returns how many there were."""
        from portal.models import Mail

        kept = [
            Mail(to=recipient[:320], subject=str(message.subject)[:200], body=str(message.body))
            for message in email_messages
            for recipient in message.recipients()
        ]
        Mail.objects.bulk_create(kept)
        return len(email_messages)


def reaches_people() -> bool:
    """Does EMAIL_URL name a mail server, so that links go to people's own mailboxes?"""
    return bool(settings.EMAIL_CONFIGURED)


def is_shown() -> bool:
    """Is mail shown to staff, and sent to nobody?"""
    return bool(f"{ShownMail.__module__}.{ShownMail.__qualname__}" == settings.EMAIL_BACKEND)
