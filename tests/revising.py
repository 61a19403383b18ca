"""Revisions in tests: whether all is recorded, and rows as an older version, or nobody, wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db.models import QuerySet

from vpn.models import Instance, Revision
from vpn.models.revised import listening
from vpn.revisions.sections import document_of, present_document


@contextmanager
def unrevised() -> Iterator[None]:
    """Let a test write rows of sections itself; no revision is made of it."""
    with listening(UUID(int=0), lambda *_: None):
        yield


def forget_revisions() -> None:
    """As on an instance from before there were revisions."""
    QuerySet(Revision).delete()


def unrecorded(instances: QuerySet[Instance]) -> list[str]:
    """The instances whose present state is not that of their newest revision."""
    found = []
    for instance in instances:
        newest = Revision.objects.with_parts().filter(instance=instance).first()
        present = present_document(instance)
        if newest is None or _compared(document_of(newest)) != _compared(present):
            found.append(instance.name)
    return found


def _compared(document: object) -> dict[str, object]:
    return {name: value for name, value in vars(document).items() if name != "names"}
