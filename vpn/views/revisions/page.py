"""Revisions of an instance: the list, two side by side, and the way back to one."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import get_member
from portal.audit.log import leave_out
from portal.exceptions import Conflict, InvalidInput
from portal.models import Membership
from vpn.access import get_instance, get_revision
from vpn.actions.activity.plan_turn import PlanBusy, compute_in_turn
from vpn.actions.activity.planning import MOST_NOTED_LINES, preview
from vpn.actions.revisions.notes import noted
from vpn.actions.revisions.returning import return_to
from vpn.desired import ConcurrentChange
from vpn.forms.note import NoteForm, note_of
from vpn.models import Instance, Revision
from vpn.presenters.activity.plan import words_of
from vpn.presenters.instances.head import head_of
from vpn.presenters.revisions import line_above, reach_between, sections_of

REVISIONS_EACH_PAGE = 20
# More than retention keeps, except for a few minutes.
MOST_CHOICES = 300


@require_safe
def instance_revisions(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The revisions, newest first; two of them can be chosen for comparison."""
    member = get_member(request)
    instance = get_instance(member, pk)
    page = Paginator(instance.revisions.defer("settings"), REVISIONS_EACH_PAGE).get_page(request.GET.get("page"))
    newest = _newest(instance)
    context = {
        **head_of(member, instance, "activity"),
        "page": page,
        "rows": [(one, line_above(one)) for one in page],
        "newest": newest,
    }
    return render(request, "vpn/revisions/list.html", context)


@require_safe
def instance_comparison(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Two revisions side by side: `?before=6&after=7`. Without the first, the one before the second."""
    member = get_member(request)
    instance = get_instance(member, pk)
    after = _numbered(instance, request.GET.get("after"), _newest(instance))
    before = _numbered(instance, request.GET.get("before"), _one_before(instance, after))
    reach = reach_between(instance, before, after, in_full=request.GET.get("reach") == "full")
    context = {
        **head_of(member, instance, "activity"),
        "before": before,
        "after": after,
        "sections": sections_of(before, after),
        "reach": reach,
        "choices": instance.revisions.only("number", "at")[:MOST_CHOICES],
        "newest": _newest(instance),
    }
    return render(request, "vpn/revisions/compare.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def revision_return(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What returning to a revision would mean, then the return itself."""
    member = get_member(request)
    revision = get_revision(member, pk, write=True)
    instance = get_instance(member, revision.instance_id, write=True)
    form = NoteForm(request.POST if request.method == "POST" else None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        refusal = _return(request, member, instance, revision, form)
        if not refusal:
            messages.success(request, _("Returned to revision %(number)s.") % {"number": revision.number})
            return redirect("instance_revisions", pk=instance.pk)
    elif request.method != "POST":
        leave_out(request)
    context = {
        "instance": instance,
        "revision": revision,
        "form": form,
        "refusal": refusal,
        "seen": _newest(instance),
        **_plan(member, instance, revision),
    }
    return render(request, "vpn/revisions/return.html", context, status=409 if refusal else 200)


def _return(request: HttpRequest, member: Membership, instance: Instance, revision: Revision, form: NoteForm) -> str:
    """Return to the revision; why that was refused, "" where it was not."""
    try:
        with noted(note_of(form)):
            return_to(instance, revision, by=member.principal, seen=_number_in(request.POST.get("seen")))
    except (Conflict, InvalidInput) as refusal:
        return _sentence(refusal)
    return ""


def _plan(member: Membership, instance: Instance, revision: Revision) -> dict[str, Any]:
    """What returning would mean, or why it is not possible."""
    left_out: list[str] = []
    change = partial(return_to, instance, revision, by=member.principal, left_out=left_out)
    try:
        found = preview(change)
        plan = compute_in_turn(found)
    except (Conflict, InvalidInput) as refusal:
        return {"impossible": _sentence(refusal), "left_out": left_out}
    except (ConcurrentChange, PlanBusy):
        return {"is_busy": True, "left_out": left_out}
    [words] = words_of([plan.document(most_lines=MOST_NOTED_LINES)])
    return {"plan": words, "left_out": left_out}


def _sentence(refusal: Conflict | InvalidInput) -> str:
    if isinstance(refusal, Conflict):
        return refusal.message
    return " ".join(message for messages in refusal.errors.values() for message in messages)


def _newest(instance: Instance) -> int:
    return instance.revisions.values_list("number", flat=True).first() or 0


def _one_before(instance: Instance, revision: Revision) -> int:
    earlier = instance.revisions.filter(number__lt=revision.number).values_list("number", flat=True)
    return earlier.first() or revision.number


def _numbered(instance: Instance, text: str | None, default: int) -> Revision:
    number = default if text in (None, "") else _number_in(text)
    rows = Revision.objects.with_parts().filter(instance=instance)
    found = None if number is None else rows.filter(number=number).first()
    if found is None:
        raise Http404
    return found


def _number_in(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None
