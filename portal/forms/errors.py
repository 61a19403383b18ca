"""What an action refused, beside the field at fault."""

from __future__ import annotations

from django import forms

from portal.exceptions import Conflict, InvalidInput


def add_refusal(form: forms.Form, refusal: Conflict | InvalidInput) -> None:
    """Put the words of a refusal into a form, at its field where the form has one."""
    if isinstance(refusal, Conflict):
        _add(form, refusal.field, [refusal.message])
        return
    for field, messages in refusal.errors.items():
        _add(form, field, messages)


def _add(form: forms.Form, field: str, messages: list[str]) -> None:
    for message in messages:
        form.add_error(field if field in form.fields else None, message)
