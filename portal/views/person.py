"""One person: role, name, access, and removal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member, get_person
from portal.actions.member import change_member, remove_member
from portal.actions.second_factor import reset_fault
from portal.exceptions import Conflict, InvalidInput
from portal.forms.person import PersonForm
from portal.forms.refusal import show_refusal
from portal.mail import reaches_people
from portal.models import Cause, Membership, MembershipState, Principal, QueuedMail, Receipt
from portal.operated import instance_names, instances_of_organization
from portal.signals import membership_losses
from portal.views.person_link import offered_link

_MOST_RECEIPTS = 5


@require_http_methods(["GET", "HEAD", "POST"])
def person(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A person's page; admins change them here."""
    member = get_member(request)
    found = get_person(member, pk, write=request.method == "POST")
    known = instances_of_organization(member.organization_id)
    if request.method == "POST":
        form = PersonForm(request.POST, initial=_initial(found), known=known)
        if form.is_valid() and (saved := _changed(form, found, member.principal)):
            messages.success(request, _("%(found)s is saved.") % {"found": found.label})
            return _after(request, member, found, saved.receipt, reverse("person", args=[found.pk]))
    else:
        form = PersonForm(initial=_initial(found), known=known)
    context = {
        "person": found,
        "form": form,
        "link_offered": offered_link(found),
        "by_mail": reaches_people(),
        "mail_waits": QueuedMail.objects.filter(membership=found, fault="").exists(),
        "groups": found.groups.all(),
        "operated": instance_names(found),
        "receipts": Receipt.objects.filter(person_id=found.pk).order_by("-created_at")[:_MOST_RECEIPTS],
        "has_factor": found.user.has_second_factor,
        "factor_fault": reset_fault(found, member),
    }
    return render(request, "portal/person.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def person_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show what will stop working, confirm, and remove the person."""
    member = get_member(request)
    found = get_person(member, pk, write=True)
    refused = ""
    if request.method == "POST":
        try:
            ended = remove_member(found, by=member.principal)
        except Conflict as refusal:
            refused = refusal.message
        else:
            messages.success(request, _("%(found)s is removed.") % {"found": found.label})
            return _after(request, member, found, ended, reverse("people"))
    context = {"person": found, "refused": refused, "losses": _losses(found)}
    return render(request, "portal/person_remove.html", context)


def _after(
    request: HttpRequest, member: Membership, found: Membership, ended: Receipt | None, page: str
) -> HttpResponse:
    """Lead to the receipt of what ended, if something did; who ended their own access, to where they sign in."""
    is_own = found.user_id == member.user_id
    if ended is not None and ended.cause != Cause.ROLE_CHANGED and is_own:
        logout(request)
        return redirect("account_login")
    if ended is not None and not is_own:
        return redirect("receipt", pk=ended.pk)
    return redirect(page)


def _losses(found: Membership) -> list[str]:
    answers = membership_losses.send(sender=Membership, membership=found)
    return [str(sentence) for _, sentences in answers for sentence in sentences or ()]


def _initial(found: Membership) -> dict[str, Any]:
    active = "false" if found.state == MembershipState.DEACTIVATED else "true"
    return {
        "name": found.user.name,
        "role": found.role,
        "active": active,
        "instances": found.instance_ids or [],
        "most_devices": found.most_devices,
    }


def _changed(form: PersonForm, found: Membership, by: Principal) -> Membership | None:
    try:
        return change_member(found, by=by, **form.cleaned_data)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return None
