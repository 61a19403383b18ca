"""Reading an organization's journal: filters, search, and pages by the last line's id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.encoding import force_str

from portal.audit.words import WORDS
from portal.models import JournalEntry, Principal, PrincipalKind
from portal.models.journal import JournalQuerySet, first_id_at
from portal.searching import has_word
from portal.told import sentences

# A search looks at so many lines at once, so that no search of a long journal takes long.
SEARCHED: Final = 10_000
_CHUNK: Final = 1000


@dataclass(frozen=True)
class Filters:
    """Which lines are wanted; what is "" or None does not matter."""

    actor: str = ""
    # The id of an object; of an instance, the lines of its peers too.
    object: str = ""
    code: str = ""
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""


@dataclass(frozen=True)
class Found:
    """A page of lines, newest first. The next one begins before the id `before`; None if this is the last."""

    lines: list[JournalEntry]
    before: UUID | None
    # A search was ended early: it goes on with the next page.
    is_cut: bool = False


def lines_of(organization_id: UUID, filters: Filters) -> JournalQuerySet:
    """The lines of an organization that these filters leave, without their words; newest first."""
    rows: JournalQuerySet = JournalEntry.objects.filter(organization_id=organization_id)
    if filters.actor:
        # Who of the staff acted is not for tenants.
        rows = rows.filter(actor_id=filters.actor).exclude(actor_kind=PrincipalKind.STAFF)
    if filters.object:
        newest = rows.filter(object_id=filters.object).order_by("-id").values_list("object_kind", flat=True).first()
        is_instance = newest == "instance"
        rows = rows.filter(**{"instance_id" if is_instance else "object_id": filters.object})
    if filters.code:
        rows = rows.filter(code=filters.code)
    if filters.since is not None:
        rows = rows.filter(id__gte=first_id_at(filters.since))
    if filters.until is not None:
        rows = rows.filter(id__lt=first_id_at(filters.until))
    return rows.order_by("-id")


def find(organization_id: UUID, filters: Filters, *, limit: int, before: UUID | None = None) -> Found:
    """A page of lines. With words, it looks at no more than SEARCHED lines."""
    rows: QuerySet[JournalEntry] = lines_of(organization_id, filters)
    if before is not None:
        rows = rows.filter(id__lt=before)
    end = None
    if filters.words:
        end = rows.values_list("id", flat=True)[SEARCHED - 1 : SEARCHED].first()
        if end is not None:
            rows = rows.filter(id__gte=end)
        for word in filters.words.split():
            # Which member of staff acted, and from where, is not for tenants.
            whose = has_word("actor_name", word) | has_word("address", word)
            whose &= ~Q(actor_kind=PrincipalKind.STAFF)
            rows = rows.filter(has_word("object_name", word) | has_word("code", word) | whose)
    found = list(rows[: limit + 1])
    if len(found) > limit:
        return Found(found[:limit], found[limit - 1].pk)
    return Found(found, end, is_cut=end is not None)


def walk(organization_id: UUID, filters: Filters, most: int) -> Iterator[JournalEntry]:
    """Yield the lines that the filters leave, at most so many, in short queries."""
    before: UUID | None = None
    while most > 0:
        found = find(organization_id, filters, limit=min(_CHUNK, most), before=before)
        yield from found.lines
        most -= len(found.lines)
        before = found.before
        if before is None:
            return


def words_of(code: str) -> str:
    """A code in words; one of a newer release as it is."""
    return force_str(WORDS.get(code, code))


def shown_actor(line: JournalEntry) -> Principal:
    """Who acted, as tenants may know it: not which member of staff it was."""
    actor = line.actor
    return Principal(actor.kind, "", "") if actor.kind == PrincipalKind.STAFF else actor


def shown_origin(line: JournalEntry) -> tuple[str, str]:
    """The client's address and program; "" for staff."""
    return ("", "") if line.actor_kind == PrincipalKind.STAFF else (line.address, line.user_agent)


def document_of(line: JournalEntry) -> dict[str, Any]:
    """A line as programs get it."""
    actor, (address, user_agent) = shown_actor(line), shown_origin(line)
    return {
        "id": str(line.pk),
        "at": line.at.isoformat(),
        "actor": actor.document(),
        "address": address,
        "user_agent": user_agent,
        "code": line.code,
        "message": words_of(line.code),
        "object": {"kind": line.object_kind, "id": line.object_id, "name": line.object_name},
        "changes": [{"field": name, "before": pair[0], "after": pair[1]} for name, pair in line.changes.items()],
        "details": sentences(line.details),
        "operation": str(line.operation) if line.operation else None,
        "cause": str(line.cause) if line.cause else None,
    }
