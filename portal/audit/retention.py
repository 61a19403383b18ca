"""Retention of journals: the oldest sealed lines are removed, and the head keeps where the chain was cut."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from portal.audit.chain import ChainBroken, locked_head, save_ends
from portal.models import JournalEntry, JournalHead, Organization
from portal.models.journal import PORTAL_JOURNAL, first_id_at
from portal.sealing import UnsealError

logger = logging.getLogger(__name__)
_BATCH: Final = 500
# On SQLite, others take the write lock in a pause.
_PAUSE_SECONDS: Final = 0.05


def prune_journals(seconds: float) -> bool:
    """Remove old lines for about this long, a batch of each journal in turn; True if none is left."""
    waiting = deque(_due(timezone.now()))
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        organization_id, before = waiting.popleft()
        try:
            if prune_batch(organization_id, before) == _BATCH:
                waiting.append((organization_id, before))
                time.sleep(_PAUSE_SECONDS)
        except (ChainBroken, UnsealError) as fault:
            logger.error("Old lines of the journal %s are not removed: %s", organization_id, fault)  # noqa: TRY400
    return not waiting


def prune_batch(organization_id: UUID, before: datetime) -> int:
    """Remove the first lines of a chain that are older; return how many. A younger one ends it."""
    with transaction.atomic():
        head = locked_head(organization_id)
        sealed = JournalEntry.objects.filter(organization_id=organization_id, position__gt=0).order_by("position")
        first = first_id_at(before)
        rows = sealed.values_list("id", "position", "hash")[:_BATCH]
        old = list(takewhile(lambda row: row[0] < first, rows))
        if not old:
            return 0
        _, position, cut = old[-1]
        head.anchor_position, head.anchor_hash = position or 0, cut or ""
        # Not by the model's own manager, which refuses every deletion.
        QuerySet(JournalEntry).filter(pk__in=[row[0] for row in old]).delete()
        save_ends(head)
    _forget_if_gone(organization_id)
    return len(old)


def _due(now: datetime) -> Iterator[tuple[UUID, datetime]]:
    """The journals whose first line is past its time, and the time before which lines are removed."""
    days = dict(Organization.objects.exclude(journal_days=None).values_list("pk", "journal_days"))
    lines = JournalEntry.objects.filter(organization_id=OuterRef("pk")).order_by("id")
    heads = JournalHead.objects.annotate(first=Subquery(lines.values("id")[:1])).exclude(first=None)
    for organization_id, first in heads.values_list("pk", "first"):
        before = now - timedelta(days=days.get(organization_id) or settings.JOURNAL_DAYS)
        if first < first_id_at(before):
            yield organization_id, before


def _forget_if_gone(organization_id: UUID) -> None:
    """Remove the head of a deleted organization with its last line."""
    if organization_id == PORTAL_JOURNAL or Organization.objects.filter(pk=organization_id).exists():
        return
    with transaction.atomic():
        JournalHead.objects.select_for_update().filter(pk=organization_id).first()
        if not JournalEntry.objects.filter(organization_id=organization_id).exists():
            JournalHead.objects.filter(pk=organization_id).delete()
