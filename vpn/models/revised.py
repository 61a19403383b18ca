"""Rows that are part of an instance's revisions: they are written only while a revision is being recorded.

A listener of each instance that is being changed (vpn.actions.revisions.recording) is told before a row is written.
Without one, the write is refused, so no action can change these rows and leave no revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.db import models

from vpn.choices import RevisedSection

# Hears the section, and the site whose row it is where that is known.
Listener = Callable[[RevisedSection, UUID | None], None]
Row = TypeVar("Row", bound=models.Model)

_listeners: ContextVar[Mapping[UUID, Listener] | None] = ContextVar("listeners", default=None)


class WithoutRevision(Exception):
    """Code writes rows of a section while no revision is being recorded (vpn.actions.revisions.recording)."""


def about_to_write(section: RevisedSection, site_id: UUID | None = None) -> None:
    """Say that rows of a section, or those of one site, are about to be written; raises WithoutRevision."""
    listeners = _listeners.get()
    if not listeners:
        raise WithoutRevision(f"A change of {section.value} needs a revision.")
    for listen in listeners.values():
        listen(section, site_id)


def is_recording() -> bool:
    """Is a revision being recorded?"""
    return bool(_listeners.get())


@contextmanager
def listening(instance_id: UUID, listen: Listener) -> Iterator[None]:
    """Call `listen` before each write in the block."""
    token = _listeners.set({**(_listeners.get() or {}), instance_id: listen})
    try:
        yield
    finally:
        _listeners.reset(token)


class RevisedQuerySet(models.QuerySet[Row]):
    """Rows of a section."""

    def update(self, **values: Any) -> int:
        """Update, once it was said."""
        self._say()
        return super().update(**values)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete, once it was said."""
        self._say()
        return super().delete()

    def bulk_create(self, objs: Iterable[Row], *args: Any, **kwargs: Any) -> list[Row]:
        """Insert, once it was said."""
        rows = list(objs)
        if rows:
            self._say()
        return super().bulk_create(rows, *args, **kwargs)

    def bulk_update(self, *args: Any, **kwargs: Any) -> int:
        """Update, once it was said."""
        self._say()
        return super().bulk_update(*args, **kwargs)

    def _say(self) -> None:
        if issubclass(self.model, RevisedModel):
            about_to_write(self.model.section)


class RevisedModel(models.Model):
    """A row of a section."""

    section: ClassVar[RevisedSection]

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, once it was said."""
        about_to_write(self.section)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete, once it was said."""
        about_to_write(self.section)
        return super().delete(*args, **kwargs)
