"""What is known of a hub, and when it was last looked at."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar
from uuid import UUID

from django.db import models, transaction


class InstanceObservationQuerySet(models.QuerySet["InstanceObservation"]):
    """Observations of instances."""

    def note(self, instance_ids: Collection[UUID], **columns: Any) -> None:
        """Set these columns for these instances; what has no row yet gets one."""
        with transaction.atomic():
            # In the order of who records observations, so that no two wait in a circle.
            there = set(
                self.select_for_update().filter(pk__in=instance_ids).order_by("pk").values_list("pk", flat=True)
            )
            self.filter(pk__in=there).update(**columns)
        if missing := set(instance_ids) - there:
            rows = [InstanceObservation(instance_id=pk, **columns) for pk in missing]
            self.bulk_create(rows, ignore_conflicts=True)


class InstanceObservation(models.Model):
    """What the portal saw of one hub. No row: it was never looked at.

    Jobs alone write it, without the instance's lock. So there is no foreign key in the database either: checking one
    locks the instance's row, and would make a deletion fail that an observation overtakes. `tidy` removes what is left.
    """

    instance = models.OneToOneField(
        "vpn.Instance", on_delete=models.CASCADE, primary_key=True, related_name="observation", db_constraint=False
    )
    # When the hub was last asked, or is about to be: a worker takes it for itself so.
    looked_at = models.DateTimeField(null=True, blank=True)
    # When it was last asked and answered. What it said before that is not recorded any more.
    observed_at = models.DateTimeField(null=True, blank=True)
    # Those of `public_dns` that did not answer when the hub last asked them.
    silent_resolvers = models.JSONField(default=list, blank=True)
    # When the listeners were last knocked on from outside of the server.
    knocked_at = models.DateTimeField(null=True, blank=True)
    # When the whole specification was last compared with what the server runs.
    verified_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = InstanceObservationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"observation of {self.instance_id}"
