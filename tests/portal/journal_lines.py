"""The lines of the journal that an act leaves."""

from __future__ import annotations

from collections.abc import Callable

from portal.models import JournalEntry
from portal.models.journal import journal_id


def since(act: Callable[[], object]) -> list[JournalEntry]:
    """The lines that an act leaves."""
    before = journal_id()
    act()
    return list(JournalEntry.objects.filter(id__gt=before).order_by("id"))


def only(act: Callable[[], object]) -> JournalEntry:
    """The one line that an act leaves, apart from its consequences."""
    [line] = [line for line in since(act) if line.cause is None]
    return line
