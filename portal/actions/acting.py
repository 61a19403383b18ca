"""The one place where actions record who changed which row.

Every action takes `by` and passes it on. Where a row changes, it calls `acted` in the same transaction. The journal
gets its line there, so no change can commit without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from portal.audit.fields import (
    Values,
    differences,
    instance_of,
    kind_of,
    name_of,
    organizations_of,
    values_of,
)
from portal.audit.log import note_own_act
from portal.audit.origin import origin
from portal.audit.words import OWN, PARTS, WORDS
from portal.models import JournalEntry, Membership, Principal, PrincipalKind, User
from portal.models.journal import NAME_LENGTH, PORTAL_JOURNAL, journal_id

# What was done, where all values are new, and where all are gone.
_MADE = {"created", "added", "ordered"}
_GONE = {"deleted", "removed", "forgotten"}


class UnknownAct(Exception):
    """An act has no code in portal.audit.words, so nobody could read its line."""


@dataclass
class Act:
    """An act that is under way (`one_act`)."""

    on: Model
    id: UUID = field(default_factory=journal_id)
    details: dict[str, Any] = field(default_factory=dict)
    operation: UUID | None = None


_under_way: ContextVar[Act | None] = ContextVar("act", default=None)
# The line that this thread wrote last.
_last_line: ContextVar[UUID | None] = ContextVar("line", default=None)


def acted(
    by: Principal,
    did: str,
    on: Model,
    *,
    before: Values | None = None,
    changes: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    operation: UUID | None = None,
) -> None:
    """Record that `by` did something to a row; `did` is a past participle, such as "deleted".

    `before` are the former values (portal.audit.fields.values_of) of a row that changed; `changes` are given where
    they are not among these. The journal gets a line, unless this is only a part of another act. Actions of the portal
    itself also get one in the audit log, after the commit.
    """
    if by.kind == PrincipalKind.PORTAL:
        what = {"object": on._meta.label_lower, "id": on.pk}
        transaction.on_commit(partial(note_own_act, by, did, **what))
    act = _under_way.get()
    code = code_of(on, did)
    if code in PARTS or (act is not None and _is_same(act.on, on)):
        return
    changed = _changes(did, on, before) if changes is None else changes
    _append(by, code, Act(on, details=dict(details or {}), operation=operation), changed, act)


@contextmanager
def one_act(by: Principal, did: str, on: Model, *, is_change: bool = False) -> Iterator[Act]:
    """Record what happens in the block as one act on a row: the line is written at its end.

    Acts on the same row within are parts of it. Those on other rows get lines of their own that name it as their cause.
    The block may set the act's `on` to a newer object of the row, and add to its `details`. With `is_change`, nothing
    is recorded where neither the values nor the details differ.
    """
    with transaction.atomic():
        act, outer = Act(on), _under_way.get()
        if outer is not None and _is_same(outer.on, on):
            act.id = outer.id  # This one is a part of it.
        code, before = code_of(on, did), values_of(on)
        token = _under_way.set(act)
        try:
            yield act
        finally:
            _under_way.reset(token)
        changes = _changes(did, act.on, before)
        if (is_change and not changes and not act.details) or (outer is not None and _is_same(outer.on, act.on)):
            return
        if by.kind == PrincipalKind.PORTAL:
            transaction.on_commit(partial(note_own_act, by, did, object=on._meta.label_lower, id=on.pk))
        _append(by, code, act, changes, outer)


def last_line() -> UUID | None:
    """The id of the journal's line that this thread wrote last."""
    return _last_line.get()


def line_of_act(before: UUID | None) -> UUID | None:
    """The id of the line of the act that is under way, written or not; else of a line since `before` (`last_line`)."""
    act, last = _under_way.get(), _last_line.get()
    if act is not None:
        return act.id
    return last if last != before else None


def code_of(on: Model, did: str) -> str:
    """The code of an act. Raises UnknownAct for one without words."""
    code = f"{kind_of(on)}.{did.replace(' ', '_')}"
    if code not in WORDS and code not in PARTS:
        raise UnknownAct(code)
    return code


def _is_same(one: Model, other: Model) -> bool:
    return kind_of(one) == kind_of(other) and one.pk == other.pk


def _changes(did: str, on: Model, before: Values | None) -> dict[str, list[Any]]:
    if did in _GONE:
        return differences(values_of(on), {})
    if did in _MADE:
        return differences({}, values_of(on))
    return {} if before is None else differences(before, values_of(on))


def _append(by: Principal, code: str, act: Act, changes: Mapping[str, Any], cause: Act | None) -> None:
    on, place = act.on, origin(is_command=by.kind == PrincipalKind.STAFF)
    instance_id, generation = instance_of(on)
    parts = {"changes": changes, "details": act.details}
    document = json.dumps({name: part for name, part in parts.items() if part}, ensure_ascii=False, sort_keys=True)
    _last_line.set(act.id)
    # An account may belong to several organizations.
    for number, organization_id in enumerate([PORTAL_JOURNAL] if code in OWN else organizations_of(on)):
        actor = _member_of(organization_id, by) if isinstance(on, User) else by
        JournalEntry.objects.create(
            id=act.id if number == 0 else journal_id(),
            organization_id=organization_id,
            at=timezone.now(),
            actor_kind=actor.kind.value,
            actor_id=actor.id,
            actor_name=actor.name[:NAME_LENGTH],
            actor_reason=actor.reason[:NAME_LENGTH],
            address=place.address,
            user_agent=place.user_agent,
            code=code,
            object_kind=kind_of(on),
            object_id=str(on.pk),
            object_name=name_of(on)[:NAME_LENGTH],
            cause=None if cause is None else cause.id,
            instance_id=instance_id,
            generation=generation,
            operation=act.operation,
            document=document,
        )


def _member_of(organization_id: UUID, by: Principal) -> Principal:
    """An account as the organization knows it: by the id of its membership."""
    if by.kind != PrincipalKind.MEMBER:
        return by
    found = (
        Membership.objects.filter(organization=organization_id, user=UUID(by.id)).values_list("pk", flat=True).first()
    )
    return by if found is None else replace(by, id=str(found))
