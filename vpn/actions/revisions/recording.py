"""Recording revisions: each change of an instance's settings, rules, records or routes leaves one.

A watch notes the instance's columns before and after, and hears of each write of rules, records and sites
(vpn.models.revised). A change that touches none of them, such as a new device, costs no query.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Final
from uuid import UUID

from django.utils.translation import gettext_noop

from portal.actions.acting import last_line, line_of_act
from portal.models import Principal
from portal.told import told
from vpn.actions.activity.previewing import is_preview
from vpn.actions.revisions.notes import present_note
from vpn.actions.revisions.words import words_between
from vpn.choices import RevisedSection
from vpn.models import Instance, Revision, RevisionPart, RuleValues
from vpn.models.revised import listening
from vpn.models.revision import SECTIONS
from vpn.revisions.sections import (
    COLUMNS,
    LISTS,
    Columns,
    Content,
    Document,
    columns_of,
    document_of,
    read_section,
    read_sites,
)

# Who made the first revision of an instance from before there were revisions.
BEFORE_REVISIONS: Final = Principal.portal(gettext_noop("the state before the first recorded change"))
_NAME_LENGTH: Final = 200

_watches: ContextVar[dict[UUID, Watch] | None] = ContextVar("watches", default=None)


class Watch:
    """What a change does to the revisions of one instance, whose row is locked before anything is written."""

    def __init__(self, instance_id: UUID) -> None:
        self.returned_to: int | None = None
        self._instance_id = instance_id
        self._before: Columns | None = None
        self._after: Columns | None = None
        # The sections about to be written; of sites, the ids, and None where they are not known.
        self._touched: dict[RevisedSection, set[UUID | None]] = {}
        self._newest: Revision | None = None
        self._former_line = last_line()

    def note_before(self, instance: Instance) -> None:
        """Note the columns of the instance before it changes."""
        if self._before is None:
            self._before = columns_of(instance)

    def note_after(self, instance: Instance) -> None:
        """Note the columns of the instance as they are saved."""
        self._after = columns_of(instance)

    def listen(self, section: RevisedSection, site_id: UUID | None) -> None:
        """Rows of this section, or those of one site, are about to be written."""
        self._find_newest()
        self._touched.setdefault(section, set()).add(site_id)

    def store(self, *, by: Principal) -> None:
        """Store a revision, if something differs from the newest one."""
        if not self._touched and self._after == self._before:
            return
        newest = self._find_newest()
        settings = newest.settings if self._after is None else self._after
        found = {section: self._read(section, newest) for section in sorted(self._touched)}
        found = {section: one for section, one in found.items() if one.digest != _digest(newest, section)}
        if not found and settings == newest.settings:
            return
        changed = words_between(*_documents(newest, settings, found))
        parts = {section.value: getattr(newest, section.value) for section in RevisedSection} | self._stored(found)
        _insert(
            Revision(
                instance_id=self._instance_id,
                number=newest.number + 1,
                settings=settings,
                changed=changed,
                note=present_note(),
                returned_to=self.returned_to,
                line=line_of_act(self._former_line),
                **parts,
            ),
            by,
        )

    def _read(self, section: RevisedSection, newest: Revision) -> Content:
        ids = self._touched[section]
        known = {pk for pk in ids if pk is not None}
        if section is RevisedSection.SITES and len(known) == len(ids):
            return read_sites(self._instance_id, newest.sites, known)
        return read_section(self._instance_id, section)

    def _find_newest(self) -> Revision:
        """The newest revision. Of an instance without one, the present state is stored as the first."""
        if self._newest is None:
            rows = Revision.objects.with_digests().filter(instance=self._instance_id)
            self._newest = rows.first() or self._first()
        return self._newest

    def _first(self) -> Revision:
        settings = self._before or columns_of(Instance.objects.only(*COLUMNS, *LISTS).get(pk=self._instance_id))
        parts = self._stored({section: read_section(self._instance_id, section) for section in RevisedSection})
        first = Revision(instance_id=self._instance_id, number=1, settings=settings, **parts)
        return _insert(first, BEFORE_REVISIONS)

    def _stored(self, contents: dict[RevisedSection, Content]) -> dict[str, RevisionPart | None]:
        """The contents as stored parts, by section; None for one without rows."""
        made = {section: one.part(self._instance_id, section) for section, one in contents.items() if one.rows}
        RevisionPart.objects.bulk_create(made.values())
        return {section.value: made.get(section) for section in contents}


@contextmanager
def revising(instance_id: UUID, *, by: Principal) -> Iterator[Watch]:
    """Make one revision of what the block changes of an instance. A block within another one is a part of it.

    The block locks the instance before it writes. In a preview nothing is stored.
    """
    watches = _watches.get() or {}
    if instance_id in watches:
        yield watches[instance_id]
        return
    watch = Watch(instance_id)
    token = _watches.set({**watches, instance_id: watch})
    try:
        with listening(instance_id, _ignore if is_preview() else watch.listen):
            yield watch
    finally:
        _watches.reset(token)
    if not is_preview():
        watch.store(by=by)


def record_first(instance: Instance, *, by: Principal) -> None:
    """Store the first revision of an instance that was just created: it has no rules, records and sites."""
    line = line_of_act(None)
    _insert(
        Revision(instance=instance, number=1, settings=columns_of(instance), changed=[told("created")], line=line), by
    )


def _insert(revision: Revision, by: Principal) -> Revision:
    revision.actor_kind, revision.actor_id = by.kind.value, by.id
    revision.actor_name, revision.actor_reason = by.name[:_NAME_LENGTH], by.reason[:_NAME_LENGTH]
    revision.save()
    return revision


def _documents(newest: Revision, settings: Columns, found: dict[RevisedSection, Content]) -> tuple[Document, Document]:
    """The newest revision and the next one, with those sections alone that changed."""
    kept = {section: getattr(newest, section) if RevisedSection(section) in found else None for section in SECTIONS}
    before = document_of(Revision(settings=newest.settings, **kept))
    after = replace(before, settings=settings)
    for section, content in found.items():
        rows = content.rows
        if section is RevisedSection.RULES:
            after = replace(after, rules=[RuleValues(*values) for values in rows])
        elif section is RevisedSection.RECORDS:
            after = replace(after, records=[(name, kind, value) for name, kind, value in rows])
        else:
            after = replace(after, sites=rows)
        after = replace(after, names={**after.names, **content.names})
    return before, after


def _digest(revision: Revision, section: RevisedSection) -> str:
    part: RevisionPart | None = getattr(revision, section.value)
    return "" if part is None else part.digest


def _ignore(_section: RevisedSection, _site_id: UUID | None) -> None:
    """A preview writes rows, too, and rolls them back."""
