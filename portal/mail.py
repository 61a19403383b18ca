"""Mail without a mail server: stored for staff to read. Also the meaning of a mail server's answers."""

from __future__ import annotations

from collections.abc import Sequence
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

# SMTP reply codes from here on are permanent failures (RFC 5321, 4.2.1).
_PERMANENT = 500


class ShownMail(BaseEmailBackend):
    """Stores each message for staff to read and pass on."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Store the messages and return their number."""
        from portal.models import Mail

        kept = [
            Mail(to=recipient[:320], subject=str(message.subject)[:200], body=str(message.body))
            for message in email_messages
            for recipient in message.recipients()
        ]
        Mail.objects.bulk_create(kept)
        return len(email_messages)


def reaches_people() -> bool:
    """Return True if EMAIL_URL names a mail server, so that links are mailed."""
    return bool(settings.EMAIL_CONFIGURED)


def is_shown() -> bool:
    """Return True if mail is shown to staff instead of being sent."""
    return bool(f"{ShownMail.__module__}.{ShownMail.__qualname__}" == settings.EMAIL_BACKEND)


def answer_about(refusal: SMTPDataError | SMTPRecipientsRefused) -> int:
    """Return the mail server's reply code for one message to one person."""
    if isinstance(refusal, SMTPDataError):
        return refusal.smtp_code
    return max(code for code, _ in refusal.recipients.values())


def final_answer(error: SMTPException | OSError) -> int:
    """Return the reply code of a permanent refusal; 0 if a retry may succeed."""
    if not isinstance(error, SMTPDataError | SMTPRecipientsRefused):
        return 0
    code = answer_about(error)
    return code if code >= _PERMANENT else 0
