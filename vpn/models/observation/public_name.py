"""What the portal published for a hub's public name, and what that name resolves to."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

if TYPE_CHECKING:
    from vpn.models.instance import Instance


class PublicNameQuerySet(models.QuerySet["PublicName"]):
    """Public names."""

    def look_soon(self, instance: Instance) -> None:
        """Let the scheduled job look at an instance's name at its next run."""
        self.filter(instance=instance).update(due_at=timezone.now())

    def leave(self, instance: Instance) -> None:
        """Let the scheduled job remove the records of an instance that is being deleted."""
        self.filter(instance=instance).update(instance=None, due_at=timezone.now())


class PublicName(models.Model):
    """A name that the portal published or checks. It outlives its instance, until its records are removed.

    Jobs write it without the instance's lock, so the database has no foreign key; see InstanceObservation.
    """

    name = models.CharField(max_length=253, unique=True)
    # None: the instance is gone, or has another name since VPN_DOMAIN was changed.
    instance = models.OneToOneField(
        "vpn.Instance",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="public_name",
        db_constraint=False,
    )
    # Marks the records in the zone as this portal's.
    owner = models.UUIDField(default=uuid.uuid4, editable=False)
    # The addresses that the portal has written into the zone, or was about to write.
    published = models.JSONField(default=list, blank=True)
    # The addresses to which the name resolved when a resolver last answered.
    resolved = models.JSONField(default=list, blank=True)
    # When records that someone else had changed were last written again.
    repaired_at = models.DateTimeField(null=True, blank=True)
    # When it was last looked at, and when it is looked at again.
    checked_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(default=timezone.now, db_default=Now(), db_index=True)
    # What is wrong, as a finding of `vpn.failures`; since when, and how many looks in a row found something.
    finding = models.JSONField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)

    objects: ClassVar = PublicNameQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    def resolves_to(self, addresses: Collection[str]) -> bool:
        """Is the name known to resolve to exactly these addresses?"""
        return bool(addresses) and set(self.resolved) == set(addresses)
