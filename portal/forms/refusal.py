"""Shows beside the fields what an action refused."""

from __future__ import annotations

from collections.abc import Mapping

from django import forms

from portal.exceptions import Conflict, InvalidInput


def show_refusal(
    form: forms.Form, refusal: Conflict | InvalidInput, *, shown_as: Mapping[str, str] | None = None
) -> None:
    """Add an action's refusal to a bound form: beside the field at fault, above the form where it has none.

    `shown_as` names the form's field for a field that the action knows under another name.
    """
    names = shown_as or {}
    errors = refusal.errors if isinstance(refusal, InvalidInput) else {refusal.field: [refusal.message]}
    for field, messages in errors.items():
        name = names.get(field, field)
        form.add_error(name if name in form.fields else None, list(messages))
