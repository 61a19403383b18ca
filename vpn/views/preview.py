"""What a form's change would mean, shown beside it before it is saved: by HTMX while it is edited, or by a button.

A form that has a panel (vpn/plan_panel.html) has the id `changes`. Its view asks `is_preview` before it saves, and
answers with `show_preview`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.exceptions import Conflict, InvalidInput
from vpn.actions.planning import MOST_NOTED_LINES, planned
from vpn.views.plan_words import words_of

_PANEL = "plan"


def is_preview(request: HttpRequest) -> bool:
    """Is the form sent to ask what it would change?"""
    return request.method == "POST" and "preview" in request.POST


def show_preview(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    form: forms.Form,
    change: Callable[[], object],
    *,
    refuse: Callable[[Conflict | InvalidInput], None],
    new_site: str = "",
    notes: Sequence[str] = (),
) -> HttpResponse:
    """The page with its form as it was sent and what `change` would mean; for HTMX that panel alone.

    `refuse` shows in the form what the action refused. `new_site` is what a site is called that `change` makes.
    `notes` may be filled by `change`: sentences on what it means beside who reaches whom.
    """
    plan = None
    if form.is_valid():
        try:
            document = planned(change).document(most_lines=MOST_NOTED_LINES)
            [plan] = words_of([document], new_site=new_site)
        except (Conflict, InvalidInput) as refusal:
            refuse(refusal)
    context = {**context, "plan": plan, "plan_notes": notes, "plan_faults": None if plan else _faults(form)}
    is_panel = request.headers.get("HX-Target") == _PANEL
    response = render(request, "vpn/plan.html" if is_panel else template, context)
    response["Vary"] = "HX-Request, HX-Target"
    return response


def _faults(form: forms.Form) -> list[str]:
    """What stands in the way, each fault with the name of its field; of a table's rows (`rows`) with their number."""
    faults = _named_faults(form, "")
    for number, row in enumerate(getattr(form, "rows", ()), 1):
        faults += _named_faults(row, f"Row {number}, ")
    return faults


def _named_faults(form: forms.Form, where: str) -> list[str]:
    faults = []
    for name, messages in form.errors.items():
        label = form.fields[name].label if name in form.fields else ""
        named = f"{where}{label or name}: " if name in form.fields else ""
        faults += [f"{named}{message}" for message in messages]
    return faults
