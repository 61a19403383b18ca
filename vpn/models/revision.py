"""Revisions: an instance's settings, rules, records and routes as they were after one change."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Final, NoReturn

from django.db import models
from django.utils import timezone

from portal.models import Principal, PrincipalKind
from portal.told import in_words
from vpn.choices import RevisedSection
from vpn.models.instance import Instance

NOTE_LENGTH: Final = 200
_NAME_LENGTH: Final = 200


class RevisionFixed(Exception):
    """Code tried to change a revision."""


class RevisionPart(models.Model):
    """One section's content, shared by all revisions between two changes of it."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    section = models.CharField(max_length=8, choices=RevisedSection.choices)
    # Of what is compared; the names that the content was stored with do not count (vpn.revisions.sections).
    digest = models.CharField(max_length=64)
    # Compressed JSON.
    body = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.section} of {self.instance_id}"


class RevisionQuerySet(models.QuerySet["Revision"]):
    """Revisions; they can be read and appended. Only retention removes them (vpn.jobs.tidy)."""

    def update(self, **_: Any) -> NoReturn:
        """Refuse: a revision never changes."""
        raise RevisionFixed("Revisions cannot be changed.")

    def delete(self) -> NoReturn:
        """Refuse: only retention removes revisions."""
        raise RevisionFixed("Revisions cannot be deleted.")

    def with_digests(self) -> RevisionQuerySet:
        """Join the parts, without their content."""
        bodies = (f"{section}__body" for section in SECTIONS)
        return self.select_related(*SECTIONS).defer(*bodies)

    def with_parts(self) -> RevisionQuerySet:
        """Join the parts with their content."""
        return self.select_related(*SECTIONS)


# The columns of Revision that point to a part, each named as its section.
SECTIONS: Final = ("rules", "records", "sites")


class Revision(models.Model):
    """One revision of an instance; numbers count from 1. A section without rows has no part."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    at = models.DateTimeField(default=timezone.now)
    # By value, so that the name stays when the person leaves.
    actor_kind = models.CharField(max_length=10, choices=PrincipalKind.choices)
    actor_id = models.CharField(max_length=40, blank=True)
    actor_name = models.CharField(max_length=_NAME_LENGTH, blank=True)
    actor_reason = models.CharField(max_length=_NAME_LENGTH, blank=True)
    note = models.CharField(max_length=NOTE_LENGTH, blank=True)
    # The journal's line of the act. It may be gone before the revision is.
    line = models.UUIDField(null=True, blank=True)
    # The number of the revision that this one returned to.
    returned_to = models.PositiveIntegerField(null=True, blank=True)
    # What it changed (vpn.told); sentences in older rows.
    changed = models.JSONField(default=list)
    # Columns of the instance (vpn.revisions.sections.COLUMNS).
    settings = models.JSONField()
    rules = models.ForeignKey(RevisionPart, on_delete=models.RESTRICT, related_name="+", null=True, blank=True)
    records = models.ForeignKey(RevisionPart, on_delete=models.RESTRICT, related_name="+", null=True, blank=True)
    sites = models.ForeignKey(RevisionPart, on_delete=models.RESTRICT, related_name="+", null=True, blank=True)

    objects = RevisionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instance", "number"], name="revision_number_once")
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["at"], name="revision_age")]

    def __str__(self) -> str:
        return f"revision {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Append the revision; raises RevisionFixed for one that is there already."""
        if not self._state.adding:
            raise RevisionFixed("Revisions cannot be changed.")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: only retention removes revisions."""
        raise RevisionFixed("Revisions cannot be deleted.")

    @property
    def words(self) -> list[str]:
        """What it changed, in sentences without their ends."""
        return [in_words(one) for one in self.changed]

    @property
    def actor(self) -> Principal:
        """Who made the change."""
        return Principal(PrincipalKind(self.actor_kind), self.actor_id, self.actor_name, self.actor_reason)
