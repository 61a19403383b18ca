"""Shows beside the fields what an action refused."""

from __future__ import annotations

from collections.abc import Mapping

from django import forms
from django.core.exceptions import ValidationError

from portal.exceptions import Conflict, InvalidInput


def show_refusal(
    form: forms.Form, refusal: Conflict | InvalidInput, *, shown_as: Mapping[str, str] | None = None
) -> None:
    """Add an action's refusal to a bound form: beside the field at fault, above the form where it has none.

    `shown_as` names the form's field for a field that the action knows under another name.
    """
    names = shown_as or {}
    for field, error in _errors(refusal):
        name = names.get(field, field)
        form.add_error(name if name in form.fields else None, error)


def _errors(refusal: Conflict | InvalidInput) -> list[tuple[str, ValidationError]]:
    if isinstance(refusal, InvalidInput):
        return [(field, ValidationError(list(messages))) for field, messages in refusal.errors.items()]
    return [(refusal.field, ValidationError(refusal.message, code=refusal.code))]
