"""Mail that carries a one-time link, from when it is asked for until the mail server takes it.

The link itself is never stored: it is signed, so the worker makes it from these rows at the moment of sending.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from portal.models.membership import Membership


class MailKind(models.TextChoices):
    """What a queued mail is for."""

    LINK = "link", "Sign-in link of a member"
    RESET = "reset", "New password"


class QueuedMail(models.Model):
    """One mail that was asked for: to a member, or to whatever address was typed on the page for a new password."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=MailKind.choices)
    # A member has one at most: asked again, the same row starts anew.
    membership = models.OneToOneField(
        Membership, on_delete=models.CASCADE, null=True, blank=True, related_name="queued_mail"
    )
    address = models.EmailField(max_length=254, blank=True)
    requested_at = models.DateTimeField()
    # When a worker last began to send it. The claim of a worker that died ends by itself.
    claimed_at = models.DateTimeField(null=True, blank=True)
    fault = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["requested_at", "id"]
        verbose_name_plural = "queued mail"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(kind="link", membership__isnull=False, address="")
                | models.Q(kind="reset", membership__isnull=True) & ~models.Q(address=""),
                name="queued_mail_has_one_recipient",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to {self.recipient}"

    @property
    def recipient(self) -> str:
        """The mail address that it goes to."""
        return self.address or (self.membership.user.email if self.membership is not None else "")
