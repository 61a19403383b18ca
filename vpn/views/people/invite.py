"""Invite many people: lines are pasted, a preview says what becomes of each, and one click invites them."""

from __future__ import annotations

from collections import Counter

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from portal.access import get_admin
from portal.audit.log import note
from portal.exceptions import InvalidInput
from portal.forms.refusal import show_refusal
from portal.mail import reaches_people
from portal.models import Membership
from vpn.actions.people.invitation_lines import MOST_LINES, Line, Outcome, read_lines
from vpn.actions.people.invitations import invite_many
from vpn.forms.invite import InviteForm


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def people_invite(request: HttpRequest) -> HttpResponse:
    """GET takes the lines, POST previews them; sent again from the preview, it invites."""
    member = get_admin(request)
    form = InviteForm(*((request.POST, request.FILES) if request.method == "POST" else ()), member=member)
    lines = _read(member, form) if form.is_bound and form.is_valid() else []
    if "invite" in request.POST and lines and form.cleaned_data["previewed"] == form.digest:
        return _invite(request, member, form, lines)
    if lines:
        form.with_lines_of_file()
    context = {
        "form": form,
        "lines": lines,
        "count": sum(line.is_invited for line in lines),
        "counts": Counter(line.outcome.value for line in lines),
        "has_changed": "invite" in request.POST and bool(lines),
        "by_mail": reaches_people(),
        "most": MOST_LINES,
    }
    return render(request, "vpn/people/invite.html", context)


def _read(member: Membership, form: InviteForm) -> list[Line]:
    try:
        return read_lines(member.organization, form.text, form.defaults)
    except InvalidInput as refusal:
        show_refusal(form, refusal)
        return []


def _invite(request: HttpRequest, member: Membership, form: InviteForm, lines: list[Line]) -> HttpResponse:
    chosen = form.cleaned_data
    done = list(
        invite_many(
            member.organization, lines, by=member.principal, instance=chosen["instance"], device=chosen["device"]
        )
    )
    count = sum(one.line.outcome == Outcome.INVITED for one in done)
    note("many_invited", request, count=count)
    context = {"done": done, "count": count, "by_mail": reaches_people(), "instance": chosen["instance"]}
    return render(request, "vpn/people/invited.html", context)
