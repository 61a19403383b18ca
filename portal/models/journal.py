"""The journal of an organization: one line for each act, appended in the transaction of the change.

Lines hold names by value and no foreign keys: they outlive what they name, and appending locks no other row.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, NoReturn
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.models.principal import Principal, PrincipalKind

# Staff acts on what belongs to no organization, such as a region, are in a journal of the portal's own.
PORTAL_JOURNAL: Final = UUID(int=0)
NAME_LENGTH: Final = 200

_lock = threading.Lock()
_last = 0


def journal_id() -> UUID:
    """A UUID of version 7 (RFC 9562): ids sort by time, within a process strictly, so one index serves both."""
    global _last  # noqa: PLW0603 - the clock of this process
    with _lock:
        # Milliseconds, then 12 bits of their fraction (RFC 9562, 6.2, method 3).
        _last = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        stamp = _last
    random = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=(stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 2 << 62 | random)


def first_id_at(at: datetime) -> UUID:
    """The least id that a line of this time or later can have."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80)


class AppendOnly(Exception):
    """Code tried to change or delete lines of the journal."""


class JournalQuerySet(models.QuerySet["JournalEntry"]):
    """Lines of journals; they can be read and appended."""

    def update(self, **_: Any) -> NoReturn:
        """Refuse: lines are never changed."""
        raise AppendOnly("Lines of the journal cannot be changed.")

    def delete(self) -> NoReturn:
        """Refuse: only retention removes lines (portal.audit.retention)."""
        raise AppendOnly("Lines of the journal cannot be deleted.")

    def bulk_update(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: lines are never changed."""
        raise AppendOnly("Lines of the journal cannot be changed.")


class JournalEntry(models.Model):
    """One act: when, who, from where, what, on which object, and the values before and after."""

    id = models.UUIDField(primary_key=True, default=journal_id, editable=False)
    # Not a foreign key: the journal outlives the organization.
    organization_id = models.UUIDField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=PrincipalKind.choices)
    actor_id = models.CharField(max_length=40, blank=True)
    actor_name = models.CharField(max_length=NAME_LENGTH, blank=True)
    actor_reason = models.CharField(max_length=NAME_LENGTH, blank=True)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=NAME_LENGTH, blank=True)
    # See portal.audit.words.
    code = models.CharField(max_length=60)
    object_kind = models.CharField(max_length=20, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_name = models.CharField(max_length=NAME_LENGTH, blank=True)
    # The line of the act of which this one is a consequence, such as the removal of a member whose device is deleted.
    cause = models.UUIDField(null=True, blank=True)
    # The instance that it concerns, the generation that it asked of the hub, and the operation that it began or ended.
    instance_id = models.UUIDField(null=True, blank=True)
    generation = models.PositiveBigIntegerField(null=True, blank=True)
    operation = models.UUIDField(null=True, blank=True)
    # JSON as text, so that its bytes stay what the hash was made of: `changes` and `details`.
    document = models.TextField(default="{}")
    # Set once, a little later, by the job that seals lines (portal.audit.chain).
    position = models.PositiveBigIntegerField(null=True, editable=False)
    hash = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 - NULL until it is sealed

    objects: ClassVar = JournalQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("journal entries")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["organization_id", "id"], name="journal_by_time"),
            models.Index(fields=["organization_id", "actor_id", "id"], name="journal_by_actor"),
            models.Index(fields=["organization_id", "object_id", "id"], name="journal_by_object"),
            models.Index(fields=["organization_id", "code", "id"], name="journal_by_code"),
            models.Index(
                fields=["organization_id", "instance_id", "id"],
                name="journal_by_instance",
                condition=Q(instance_id__isnull=False),
            ),
            models.Index(fields=["cause"], name="journal_by_cause", condition=Q(cause__isnull=False)),
            models.Index(fields=["organization_id", "id"], name="journal_unsealed", condition=Q(position__isnull=True)),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["organization_id", "position"], name="journal_position", condition=Q(position__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.code} {self.object_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Append the line; raises AppendOnly for one that is there already."""
        if not self._state.adding:
            raise AppendOnly("Lines of the journal cannot be changed.")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: only retention removes lines."""
        raise AppendOnly("Lines of the journal cannot be deleted.")

    @property
    def actor(self) -> Principal:
        """Who acted."""
        return Principal(PrincipalKind(self.actor_kind), self.actor_id, self.actor_name, self.actor_reason)

    @property
    def changes(self) -> dict[str, Sequence[Any]]:
        """The fields that changed: name, then the values before and after."""
        found: dict[str, Sequence[Any]] = json.loads(self.document).get("changes", {})
        return found

    @property
    def details(self) -> dict[str, Any]:
        """What else is known, such as the format of a file."""
        found: dict[str, Any] = json.loads(self.document).get("details", {})
        return found
