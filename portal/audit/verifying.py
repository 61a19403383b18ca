"""Checks a journal against its hash chain: what was removed, altered, inserted or moved is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from portal.audit.chain import CONTENT, hash_of, is_genuine
from portal.models import JournalEntry, JournalHead, Organization
from portal.models.journal import PORTAL_JOURNAL, first_id_at
from portal.sealing import UnsealError

_CHUNK: Final = 1000
# Lines are sealed within seconds.
SEALED_WITHIN: Final = timedelta(minutes=10)
# No transaction is open for so long. A line that is older than the one before it by more was inserted later.
_LATEST: Final = timedelta(hours=1)
# More faults of one journal are not told.
MOST_FAULTS: Final = 20


@dataclass
class Verdict:
    """What was found in one journal."""

    head: JournalHead | None
    lines: int = 0
    faults: list[str] = field(default_factory=list)

    def is_full(self) -> bool:
        """Return True if there are so many faults that no more are told."""
        return len(self.faults) >= MOST_FAULTS


def journals() -> dict[UUID, str]:
    """All journals, by the names of their organizations."""
    names = {PORTAL_JOURNAL: "the portal", **dict(Organization.objects.order_by("slug").values_list("pk", "slug"))}
    ids = JournalEntry.objects.order_by("organization_id").values_list("organization_id", flat=True)
    kept = [*JournalHead.objects.values_list("pk", flat=True)]
    found = ids.first()
    while found is not None:
        kept.append(found)
        found = ids.filter(organization_id__gt=found).first()
    return {**names, **{one: f"deleted organization {one}" for one in kept if one not in names}}


def verify(organization_id: UUID) -> Verdict:
    """Check one journal. The portal may seal and prune it meanwhile."""
    rows = JournalEntry.objects.filter(organization_id=organization_id)
    # Read before the head, which is never behind its lines.
    last = rows.filter(position__gt=0).order_by("-position").values_list("position", flat=True).first()
    head = JournalHead.objects.filter(pk=organization_id).first()
    verdict = Verdict(head)
    if head is not None:
        verdict.faults += _faults_of_head(head)
        if not verdict.faults:
            if (last or 0) > head.position:
                verdict.faults.append(f"line {last:,} was inserted: the chain ends with line {head.position:,}")
            _Walk(head, verdict).run()
    elif last is not None:
        verdict.faults.append("the head of its chain was removed")
    late = rows.filter(position=None, id__lt=first_id_at(timezone.now() - SEALED_WITHIN)).count()
    if late:
        minutes = int(SEALED_WITHIN.total_seconds() // 60)
        verdict.faults.append(f"{late:,} lines are not sealed after {minutes} minutes: does the schedule run?")
    return verdict


def _faults_of_head(head: JournalHead) -> Iterator[str]:
    try:
        if not is_genuine(head):
            yield "the head of its chain was altered"
    except UnsealError:
        yield "no key here opens the key of its chain"


class _Walk:
    """One way from the anchor to the head, line by line."""

    def __init__(self, head: JournalHead, verdict: Verdict) -> None:
        self.head, self.verdict, self.key = head, verdict, head.key
        self.position, self.hash = head.anchor_position, head.anchor_hash
        self.newest: datetime | None = None

    def run(self) -> None:
        if _rows(self.head, -1).filter(position__lte=self.position).exists():
            self._fault(f"a line was inserted before line {self.position + 1:,}, with which the chain begins")
        while not self.verdict.is_full() and (chunk := list(_rows(self.head, self.position)[:_CHUNK])):
            for line in chunk:
                if line["position"] != self.position + 1 and self._is_cut():
                    break
                self._check(line)
                if self.verdict.is_full():
                    return
        if self.position < self.head.position and not self._is_cut():
            self._note_gap(self.head.position)
        elif self.position == self.head.position and self.hash != self.head.hash:
            self._fault(f"line {self.position:,} has another hash than the head of the chain")

    def _check(self, line: dict[str, Any]) -> None:
        at = _time_of(line)
        if line["position"] != self.position + 1:
            # What the hash of this line was made with is not known.
            self._note_gap(line["position"] - 1)
        elif line["hash"] != hash_of(self.key, self.hash, line["position"], line):
            self._fault(f"{_named(line)} was altered or moved")
        elif self.newest is not None and at < self.newest - _LATEST:
            self._fault(f"{_named(line)} was inserted later, or the clock was set back")
            self.newest = at
        self.position, self.hash = line["position"], line["hash"]
        self.newest = max(self.newest or at, at)
        self.verdict.lines += 1

    def _is_cut(self) -> bool:
        """Return True, and go on after the new anchor, if lines were pruned since the head was read."""
        fresh = JournalHead.objects.filter(pk=self.head.pk).first()
        if fresh is None or fresh.anchor_position <= self.position or not is_genuine(fresh):
            return False
        self.position, self.hash = fresh.anchor_position, fresh.anchor_hash
        return True

    def _note_gap(self, last: int) -> None:
        first = self.position + 1
        if last < first:
            self._fault(f"line {last + 1:,} is there twice: one was inserted")
        elif first == last:
            self._fault(f"line {first:,} was removed")
        else:
            self._fault(f"lines {first:,} to {last:,} were removed")

    def _fault(self, text: str) -> None:
        self.verdict.faults.append(text)


def _rows(head: JournalHead, after: int) -> Any:
    """The sealed lines after a position, as far as the head that was read."""
    rows = JournalEntry.objects.filter(organization_id=head.pk, position__gt=after, position__lte=head.position)
    return rows.order_by("position").values(*CONTENT, "position", "hash")


def _named(line: dict[str, Any]) -> str:
    return f"line {line['position']:,} ({line['id']}, {line['code']}, {line['at']:%Y-%m-%d %H:%M} UTC)"


def _time_of(line: dict[str, Any]) -> datetime:
    """When the line was written: the time in its id (RFC 9562)."""
    return datetime.fromtimestamp((line["id"].int >> 80) / 1000, UTC)
