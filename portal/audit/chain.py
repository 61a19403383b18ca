"""The hash chain of a journal: each sealed line has a position and a keyed hash over itself and the hash before it.

Lines are appended without a hash, so that no change waits for another one. A job seals them a little later
(vpn/jobs/journal.py). A line that commits late gets the next position, whatever its id.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.models import JournalEntry, JournalHead
from portal.sealing import UnsealError

logger = logging.getLogger(__name__)
# Short transactions: SQLite has one writer at a time.
_BATCH: Final = 100
# All that a line says. A new column has to be nullable: NULL is left out, so the hashes of older lines stay right.
CONTENT: Final = tuple(
    field.attname for field in JournalEntry._meta.concrete_fields if field.name not in {"position", "hash"}
)


class ChainBroken(Exception):
    """The head of a chain is missing or was altered, so nothing is added to it: see `manage.py journal verify`."""


def hash_of(key: str, before: str, position: int, line: Mapping[str, Any]) -> str:
    """The hash of a line: HMAC-SHA256 over the hash before it, its position and its content."""
    content = {name: _plain(line[name]) for name in CONTENT if line[name] is not None}
    return _mac(key, ["line", before, position, content])


def signature_of(head: JournalHead) -> str:
    """The signature that a head should have. Raises UnsealError."""
    ends = [head.position, head.hash, head.anchor_position, head.anchor_hash]
    return _mac(head.key, ["head", str(head.pk), _plain(head.begun_at), *ends])


def is_genuine(head: JournalHead) -> bool:
    """Return True if a head is as the portal wrote it. Raises UnsealError."""
    return hmac.compare_digest(head.signature, signature_of(head))


def locked_head(organization_id: UUID) -> JournalHead:
    """The head of a chain, locked; a new one where nothing is sealed yet. Raises ChainBroken and UnsealError."""
    locked = JournalHead.objects.select_for_update(no_key=True)
    head = locked.filter(pk=organization_id).first()
    if head is None and JournalEntry.objects.filter(organization_id=organization_id, position__gt=0).exists():
        # Another process may have begun the chain in between.
        head = locked.filter(pk=organization_id).first()
        if head is None:
            raise ChainBroken("its head is missing")
    if head is None:
        made = JournalHead(pk=organization_id, begun_at=timezone.now())
        made.key = secrets.token_hex(32)
        made.signature = signature_of(made)
        # Another process may do the same.
        JournalHead.objects.bulk_create([made], ignore_conflicts=True)
        head = locked.get(pk=organization_id)
    # A forged head must not get a new signature.
    if not is_genuine(head):
        raise ChainBroken("its head was altered")
    if JournalEntry.objects.filter(organization_id=organization_id, position__gt=head.position).exists():
        raise ChainBroken("its head is older than its lines")
    return head


def save_ends(head: JournalHead) -> None:
    """Save where the chain ends and begins now."""
    head.signature = signature_of(head)
    head.save(update_fields=["position", "hash", "anchor_position", "anchor_hash", "signature"])


def seal_lines(seconds: float) -> bool:
    """Seal new lines for about this long, a batch of each journal in turn; True if none is left."""
    waiting = deque(_unsealed())
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        organization_id = waiting.popleft()
        try:
            if seal_batch(organization_id) == _BATCH:
                waiting.append(organization_id)
        except (ChainBroken, UnsealError, IntegrityError) as fault:
            logger.error("New lines of the journal %s are not sealed: %s", organization_id, fault)  # noqa: TRY400
    return not waiting


def seal_batch(organization_id: UUID) -> int:
    """Seal the next lines of a journal in one transaction; return how many."""
    with transaction.atomic():
        head = locked_head(organization_id)
        rows = JournalEntry.objects.filter(organization_id=organization_id, position=None).order_by("id")
        lines = list(rows[:_BATCH])
        if not lines:
            return 0
        key = head.key
        for line in lines:
            head.position += 1
            head.hash = hash_of(key, head.hash, head.position, vars(line))
            line.position, line.hash = head.position, head.hash
        # Not by the model's own manager, which refuses every change.
        plain: QuerySet[JournalEntry] = QuerySet(JournalEntry)
        plain.bulk_update(lines, ["position", "hash"])
        save_ends(head)
    return len(lines)


def _unsealed() -> Iterator[UUID]:
    """The journals with lines that are not sealed yet, from a random one on, so that each has its turn."""
    # One step in the index for each journal; DISTINCT would read each line.
    rows = JournalEntry.objects.filter(position=None).order_by("organization_id")
    ids = rows.values_list("organization_id", flat=True)
    start = uuid4()
    for first, last in ((start, None), (None, start)):
        found = ids.filter(organization_id__gte=first).first() if first else ids.first()
        while found is not None and (last is None or found < last):
            yield found
            found = ids.filter(organization_id__gt=found).first()


def _mac(key: str, parts: list[Any]) -> str:
    return hmac.new(key.encode(), json.dumps(parts, sort_keys=True).encode(), "sha256").hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value) if isinstance(value, UUID) else value
