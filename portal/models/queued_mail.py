"""Queued mail, until the mail server accepts it.

A one-time link itself is not stored: the worker creates it from these rows when it sends the mail.
"""

from __future__ import annotations

import uuid
from typing import ClassVar, Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.models.membership import Membership
from portal.models.organization import Organization
from portal.told import text_in_words


class MailKind(models.TextChoices):
    """The purpose of a queued mail."""

    LINK = "link", _("Sign-in link of a member")
    RESET = "reset", _("New password")
    NOTICE = "notice", _("Notice about an account")
    LOST = "lost", _("Report of a lost device")
    REMINDER = "reminder", _("Reminder before a device ends")
    SHARE = "share", _("Share link of a profile")


# Also of Membership.link_fault.
LONGEST_FAULT: Final = 200


class QueuedMail(models.Model):
    """One queued mail: to a member, to an address for which a new password was asked, or to the owner of an account."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=MailKind.choices)
    # At most one per member: another request resets the row.
    membership = models.OneToOneField(
        Membership, on_delete=models.CASCADE, null=True, blank=True, related_name="queued_mail"
    )
    address = models.EmailField(max_length=254, blank=True)
    # The organization that a mail about one of its devices belongs to.
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    # What a notice is about, or the id of the device or share link; and from where it was done, or by whom. Empty for
    # other mail.
    notice = models.CharField(max_length=40, blank=True, default="", db_default="")
    origin = models.CharField(max_length=200, blank=True, default="", db_default="")
    requested_at = models.DateTimeField()
    # When a worker last started to send it. The claim of a dead worker expires.
    claimed_at = models.DateTimeField(null=True, blank=True)
    # Why it was not taken (portal.told, as text); a sentence in older rows.
    fault = models.CharField(max_length=LONGEST_FAULT, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["requested_at", "id"]
        verbose_name_plural = _("queued mail")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(kind="link", membership__isnull=False, address="")
                | models.Q(kind__in=("reset", "notice", "lost", "reminder", "share"), membership__isnull=True)
                & ~models.Q(address=""),
                name="queued_mail_has_one_recipient",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to {self.recipient}"

    @property
    def fault_words(self) -> str:
        """Why the mail server did not take it, in words."""
        return text_in_words(self.fault)

    @property
    def recipient(self) -> str:
        """The mail address that it goes to."""
        return self.address or (self.membership.user.email if self.membership is not None else "")
