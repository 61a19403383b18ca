"""What a form's change would mean, shown beside it before saving: by HTMX during editing, or by a button.

A form that has a panel (vpn/activity/plan_panel.html) has the id `changes`. Its view calls `is_preview` before it
saves, and answers with `show_preview`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from portal.access import get_member
from portal.audit.log import leave_out
from portal.exceptions import Conflict, InvalidInput
from vpn.access import find_asked_plan
from vpn.actions.activity.plan_turn import PlanBusy, compute_in_turn
from vpn.actions.activity.plan_work import preview_later
from vpn.actions.activity.planning import MOST_NOTED_LINES, ChangePreview, compute_small_plan, preview
from vpn.choices import PlanState
from vpn.desired import ConcurrentChange
from vpn.jobs.runtime.heartbeat import is_served
from vpn.models import AskedPlan
from vpn.plan.explaining import Plan
from vpn.presenters.activity.plan import words_of

_PANEL = "plan"
_FAILED: dict[str, Any] = {"plan_is_failed": True}


def is_preview(request: HttpRequest) -> bool:
    """Does the request ask for a preview of the form's change?"""
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
    """The page with its form as it was sent and what `change` would mean; for HTMX only the panel.

    `refuse` shows in the form what the action refused. `new_site` is the name of a site that `change` creates. `change`
    may add `notes`: sentences on further effects.
    """
    leave_out(request)
    is_panel = request.headers.get("HX-Target") == _PANEL
    shown = _poll(request) if is_panel else {}
    if not shown and form.is_valid():
        try:
            shown = _answer(request, preview(change), new_site, notes, may_wait=is_panel)
        except (Conflict, InvalidInput) as refusal:
            refuse(refusal)
    faults = None if shown else _faults(form)
    context = {**context, "plan": None, "plan_notes": notes, "plan_faults": faults, **shown}
    response = render(request, "vpn/activity/plan.html" if is_panel else template, context)
    response["Vary"] = "HX-Request, HX-Target"
    return response


def _answer(
    request: HttpRequest, found: Sequence[ChangePreview], new_site: str, notes: Sequence[str], *, may_wait: bool
) -> dict[str, Any]:
    """The plan if it is quickly computed, else a note that a worker computes it.

    A page without HTMX cannot wait for a worker.
    """
    try:
        plan = compute_small_plan(found) if may_wait else compute_in_turn(found)
    except (ConcurrentChange, PlanBusy):
        return _FAILED
    if plan is None:
        member = get_member(request)
        return _waiting(preview_later(member, found, by=member.principal, new_site=new_site, notes=notes))
    return _words(plan, new_site)


def _poll(request: HttpRequest) -> dict[str, Any]:
    """The state of the preview that the panel waits for; empty if the request asks for a new one."""
    pk = request.POST.get("asked", "")
    if not pk:
        return {}
    row = find_asked_plan(get_member(request), pk)
    if row is None:
        return {"plan_is_over": True}
    if row.state == PlanState.WAITING:
        return _waiting(row)
    if row.state == PlanState.FAILED or row.answer is None:
        return _FAILED
    [words] = words_of([row.answer], new_site=row.new_site)
    return {"plan": words, "plan_notes": row.notes}


def _waiting(row: AskedPlan) -> dict[str, Any]:
    return {"plan_asked": row.pk, "plan_is_served": is_served("plan")}


def _words(plan: Plan, new_site: str) -> dict[str, Any]:
    [words] = words_of([plan.document(most_lines=MOST_NOTED_LINES)], new_site=new_site)
    return {"plan": words}


def _faults(form: forms.Form) -> list[str]:
    """The form's faults, each with the name of its field; for a table (`rows`) with the row's number."""
    faults = _named_faults(form, "")
    for number, row in enumerate(getattr(form, "rows", ()), 1):
        faults += _named_faults(row, _("Row %(number)s, ") % {"number": number})
    return faults


def _named_faults(form: forms.Form, where: str) -> list[str]:
    faults = []
    for name, messages in form.errors.items():
        label = form.fields[name].label if name in form.fields else ""
        named = f"{where}{label or name}: " if name in form.fields else ""
        faults += [f"{named}{message}" for message in messages]
    return faults
