"""The note that a person adds to a change: why it was made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.utils.translation import gettext as _

from portal.exceptions import InvalidInput
from vpn.models.revision import NOTE_LENGTH

_note: ContextVar[str] = ContextVar("note", default="")


@contextmanager
def noted(text: str) -> Iterator[None]:
    """Add a note to the revisions that the block makes; raises InvalidInput."""
    token = _note.set(_cleaned(text))
    try:
        yield
    finally:
        _note.reset(token)


def present_note() -> str:
    """The note of the change under way; "" without one."""
    return _note.get()


def _cleaned(text: str) -> str:
    note = " ".join(text.split())
    if len(note) > NOTE_LENGTH or not note.isprintable():
        raise InvalidInput.in_field(
            "note", _("Use at most %(note_length)s characters, on one line.") % {"note_length": NOTE_LENGTH}
        )
    return note
