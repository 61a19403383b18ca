"""A journal whose lines are sealed, as somebody with the database sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from portal.audit.verifying import verify
from portal.models import JournalEntry, JournalHead
from portal.models.journal import first_id_at, journal_id

ACME = UUID(int=7)
# Seconds in which all lines are sealed.
ALL = 60.0


def append(number: int, at: datetime | None = None, **columns: Any) -> list[JournalEntry]:
    """New lines, as acts leave them."""
    at = at or timezone.now()
    made = [
        JournalEntry(
            id=UUID(int=first_id_at(at).int + (journal_id().int & ((1 << 79) - 1))) if columns else journal_id(),
            **{"organization_id": ACME, "at": at, "actor_kind": "staff", "code": "peer.changed", **columns},
        )
        for _ in range(number)
    ]
    JournalEntry.objects.bulk_create(made)
    return made


def rows(**found: Any) -> QuerySet[JournalEntry]:
    """Lines as somebody with the database has them: without the manager that refuses changes."""
    return QuerySet(JournalEntry).filter(organization_id=ACME, **found)


def heads() -> QuerySet[JournalHead]:
    return QuerySet(JournalHead).filter(pk=ACME)


def faults() -> list[str]:
    return verify(ACME).faults
