"""The note of a change: why it was made."""

from __future__ import annotations

from typing import Final

from django import forms
from django.utils.translation import gettext_lazy as _

from vpn.models.revision import NOTE_LENGTH

NOTE: Final = "note"


def note_field() -> forms.CharField:
    """An optional line that the revision of the change keeps."""
    return forms.CharField(
        label=_("Note"),
        required=False,
        max_length=NOTE_LENGTH,
        help_text=_("Why this is changed. It is kept with the revision."),
        widget=forms.TextInput(attrs={"maxlength": NOTE_LENGTH, "autocomplete": "off"}),
    )


class NoteForm(forms.Form):
    """Only the note."""

    note = note_field()


def note_of(form: forms.Form) -> str:
    """The note that was entered; "" where the form has none."""
    note: str = form.cleaned_data.get(NOTE, "")
    return note
