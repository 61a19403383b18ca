"""Where mail goes while EMAIL_URL names no mail server: onto a page for staff. What a mail server answers."""

from __future__ import annotations

from collections.abc import Sequence
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

# From here on the answers of mail servers are final (RFC 5321, 4.2.1).
_PERMANENT = 500


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
    """Is mail shown to staff instead of sent?"""
    return bool(f"{ShownMail.__module__}.{ShownMail.__qualname__}" == settings.EMAIL_BACKEND)


def answer_about(refusal: SMTPDataError | SMTPRecipientsRefused) -> int:
    """What the mail server answered about one message to one person."""
    if isinstance(refusal, SMTPDataError):
        return refusal.smtp_code
    return max(code for code, _ in refusal.recipients.values())


def final_answer(error: SMTPException | OSError) -> int:
    """The code with which a mail server refused one message for good; 0 where another try may succeed."""
    if not isinstance(error, SMTPDataError | SMTPRecipientsRefused):
        return 0
    code = answer_about(error)
    return code if code >= _PERMANENT else 0
