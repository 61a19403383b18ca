"""Which profiles were handed out, to recognise a file later by its digests."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from portal.models import Organization


class DeliveredProfile(models.Model):
    """One profile as it was handed out: whose key it has, and what it configures. It holds no secret.

    Neither the peer nor the member is a foreign key: a file is recognised after they were deleted.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    peer_id = models.UUIDField()
    member_id = models.UUIDField(null=True, blank=True)
    # The peer's name for people at that time.
    label = models.CharField(max_length=400, blank=True)
    # Digest of the key pair (vpn.profiles.marks), and of the configuration; "" where that is not known.
    mark = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, blank=True)
    # When it was last handed out.
    delivered_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "mark", "digest"], name="delivered_profile_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["delivered_at"], name="delivered_profile_age")]

    def __str__(self) -> str:
        return f"profile of {self.label}"
