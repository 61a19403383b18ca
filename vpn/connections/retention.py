"""Retention of the connection journal: ended connections are removed after the time that the organization set."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone

from portal.models import Organization
from portal.models.journal import first_id_at
from vpn.models import Connection, ConnectionSubnet, Peer

_BATCH: Final = 500
# On SQLite, others take the write lock in a pause.
_PAUSE_SECONDS: Final = 0.05


def prune_connections(seconds: float) -> bool:
    """Remove old connections for about this long, a batch of each organization in turn; True if none is left."""
    waiting = deque(_due(timezone.now()))
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        organization_id, before = waiting.popleft()
        if prune_batch(organization_id, before) == _BATCH:
            waiting.append((organization_id, before))
            time.sleep(_PAUSE_SECONDS)
    return not waiting


def prune_batch(organization_id: UUID, before: datetime) -> int:
    """Remove connections that ended before, the oldest first; return how many."""
    rows = Connection.objects.filter(organization_id=organization_id, pk__lt=first_id_at(before), ended_at__lt=before)
    old = list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH])
    Connection.objects.filter(pk__in=old).delete()
    return len(old)


def prune_subnets() -> bool:
    """Remove networks of deleted peers that no connection names any more; True if there may be more."""
    named = Connection.objects.filter(subnets=OuterRef("set_id"))
    # A list of a peer that is there may be named again at any moment.
    there = Peer.objects.filter(pk=OuterRef("peer_id"))
    rows = ConnectionSubnet.objects.filter(~Exists(there), ~Exists(named))
    old = list(rows.values_list("pk", flat=True)[:_BATCH])
    ConnectionSubnet.objects.filter(pk__in=old).delete()
    return len(old) == _BATCH


def _due(now: datetime) -> Iterator[tuple[UUID, datetime]]:
    """The organizations with connections that began before their time, and that time; also deleted organizations."""
    days = dict(Organization.objects.exclude(connection_days=None).values_list("pk", "connection_days"))
    # One step in the index for each organization; DISTINCT would read each row.
    rows = Connection.objects.order_by("organization_id", "pk").values_list("organization_id", "pk")
    found = rows.first()
    while found is not None:
        organization_id, oldest = found
        before = now - timedelta(days=days.get(organization_id) or settings.CONNECTION_DAYS)
        if oldest < first_id_at(before):
            yield organization_id, before
        found = rows.filter(organization_id__gt=organization_id).first()
