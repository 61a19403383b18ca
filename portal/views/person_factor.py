"""Resetting the second factor of a member who lost theirs."""

from __future__ import annotations

from uuid import UUID

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member, get_person
from portal.actions.second_factor import reset_by_admin, reset_fault
from portal.audit.log import note
from portal.exceptions import NotPossible
from portal.models import Membership


@require_http_methods(["GET", "HEAD", "POST"])
def person_factor(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say what a reset means, confirm, and reset. The admin has to have signed in a few minutes ago."""
    member = get_member(request)
    found = get_person(member, pk, write=True)
    response: HttpResponse = _confirmed(request, member, found)
    return response


@reauthentication_required(app="portal")  # type: ignore[untyped-decorator]  # allauth ships no types
def _confirmed(request: HttpRequest, member: Membership, found: Membership) -> HttpResponse:
    refused = reset_fault(found, member)
    if request.method == "POST":
        try:
            reset_by_admin(found, member, by=member.principal)
        except NotPossible as refusal:
            refused = refusal.message
        else:
            note("factor_reset", request, of=found.pk)
            messages.success(request, _("The second factor of %(found)s is reset.") % {"found": found.label})
            return redirect("person", pk=found.pk)
    return render(request, "portal/person_factor.html", {"person": found, "refused": refused})
