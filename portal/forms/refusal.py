"""Shows the refusal of an action beside the fields of a form."""

from __future__ import annotations

from collections.abc import Mapping

from django import forms
from django.core.exceptions import ValidationError

from portal.exceptions import Conflict, InvalidInput


def show_refusal(
    form: forms.Form, refusal: Conflict | InvalidInput, *, shown_as: Mapping[str, str] | None = None
) -> None:
    """Add an action's refusal to a bound form: beside the field at fault, or above the form if there is none.

    `shown_as` maps the action's field names to those of the form, where they differ.
    """
    names = shown_as or {}
    for field, error in _errors(refusal):
        name = names.get(field, field)
        form.add_error(name if name in form.fields else None, error)


def _errors(refusal: Conflict | InvalidInput) -> list[tuple[str, ValidationError]]:
    if isinstance(refusal, InvalidInput):
        return [(field, ValidationError(list(messages))) for field, messages in refusal.errors.items()]
    return [(refusal.field, ValidationError(refusal.message, code=refusal.code))]
