"""What ended when a person was deactivated or removed, or lost rights with their role."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.models.organization import Organization


class Cause(models.TextChoices):
    """Why something of a person ended."""

    DEACTIVATED = "deactivated", _("Deactivated")
    REMOVED = "removed", _("Removed")
    ROLE_CHANGED = "role-changed", _("Role changed")


class Receipt(models.Model):
    """What ended by one act on a person, by value: it outlives the person.

    Its id is that of the act's line in the journal. Tunnels are rows of `vpn.EndedTunnel`: their hubs confirm later.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="receipts")
    # The id of their membership, which may be gone.
    person_id = models.UUIDField()
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254)
    cause = models.CharField(max_length=12, choices=Cause.choices)
    former_role = models.CharField(max_length=10)
    role = models.CharField(max_length=10)
    created_at = models.DateTimeField()
    # Who did it (`Principal.document`).
    asked_by = models.JSONField()
    # The browsers that were signed out. None if the account is used elsewhere too: these stay, but open nothing here.
    sessions = models.PositiveIntegerField(null=True)
    # Names of API tokens, and of the devices and sites of share links and of private keys that could be fetched.
    tokens = models.JSONField(default=list)
    links = models.JSONField(default=list)
    windows = models.JSONField(default=list)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["person_id", "-created_at"], name="receipt_of_person"),
            models.Index(fields=["organization", "-created_at", "-id"], name="receipt_listed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_cause_display()}: {self.name}"
