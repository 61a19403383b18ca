"""The last observation of a hub."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from vpn.constants import OBSERVATION_MAX_AGE


class InstanceObservationQuerySet(models.QuerySet["InstanceObservation"]):
    """Observations of instances."""

    def note(self, instance_ids: Collection[UUID], **columns: Any) -> None:
        """Set these columns for these instances; instances without a row get one."""
        with transaction.atomic():
            # In the locking order of the observing jobs, so that no two deadlock.
            there = set(
                self.select_for_update().filter(pk__in=instance_ids).order_by("pk").values_list("pk", flat=True)
            )
            self.filter(pk__in=there).update(**columns)
        if missing := set(instance_ids) - there:
            rows = [InstanceObservation(instance_id=pk, **columns) for pk in missing]
            self.bulk_create(rows, ignore_conflicts=True)


class InstanceObservation(models.Model):
    """What the portal observed of one hub. Without a row it was never observed.

    Only jobs write it, without the instance's lock. So the database has no foreign key: checking one locks the
    instance's row, and a deletion at the same time would fail. `tidy` removes rows that are left over.
    """

    instance = models.OneToOneField(
        "vpn.Instance", on_delete=models.CASCADE, primary_key=True, related_name="observation", db_constraint=False
    )
    # When the hub was last queried, or is about to be: with it a worker claims the observation.
    looked_at = models.DateTimeField(null=True, blank=True)
    # When the last answered query began. Reports from before that are not recorded any more.
    observed_at = models.DateTimeField(null=True, blank=True)
    # The servers of `public_dns` that did not answer the hub's last test.
    silent_resolvers = models.JSONField(default=list, blank=True)
    # When the listeners were last knocked on from outside of the server.
    knocked_at = models.DateTimeField(null=True, blank=True)
    # When the whole specification is compared with what the server runs the next time; null: as soon as possible.
    verify_at = models.DateTimeField(null=True, blank=True)
    # Until when it is known whether its peers were used (vpn.actions.peers.absence); null: from the next look on.
    use_seen_at = models.DateTimeField(null=True, blank=True)
    # The server on which the hub surely has a lease (`vpn.wire.lease`), by its id; the hub may have left it since.
    leased_on = models.UUIDField(null=True, blank=True)

    objects: ClassVar = InstanceObservationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"observation of {self.instance_id}"

    @property
    def is_recent(self) -> bool:
        """Was the hub observed so recently that what it reported about connections still holds? As `fresh_filter`."""
        oldest = timezone.now() - timedelta(seconds=OBSERVATION_MAX_AGE)
        return self.observed_at is not None and self.observed_at > oldest
