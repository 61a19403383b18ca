"""Choosing the current organization, and its settings."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import SESSION_KEY, get_admin, get_reader, home_of, mark_checked, memberships_of
from portal.actions.journal import set_connection_retention, set_retention
from portal.actions.organization import (
    rename_organization,
    set_device_limit,
    set_key_window,
    set_unused_days,
    switch_reminders,
)
from portal.actions.second_factor import require_second_factor
from portal.exceptions import InvalidInput
from portal.forms.organization import OrganizationForm
from portal.forms.refusal import show_refusal
from portal.models import Membership, Organization
from portal.quotas import quota_uses


@require_POST
def organization_switch(request: HttpRequest) -> HttpResponse:
    """Switch to another organization; 404 if the user does not belong to it."""
    mark_checked(request)
    wanted = request.POST.get("organization", "")
    chosen = next((one for one in memberships_of(request) if str(one.organization_id) == wanted), None)
    if chosen is None:
        raise Http404
    request.session[SESSION_KEY] = wanted
    return redirect(home_of(chosen))


@require_http_methods(["GET", "HEAD", "POST"])
def organization_settings(request: HttpRequest) -> HttpResponse:
    """The organization's name, its rules for second factors, keys and its journal, and use of quotas."""
    member = get_admin(request) if request.method == "POST" else get_reader(request)
    initial = {
        "name": member.organization.name,
        "second_factor_required": member.organization.second_factor_required,
        "journal_days": member.organization.journal_days,
        "custody_minutes": member.organization.custody_minutes,
        "devices_per_member": member.organization.devices_per_member,
        "unused_days": member.organization.unused_days,
        "reminders_off": member.organization.reminders_off,
        "connection_days": member.organization.connection_days,
    }
    form = OrganizationForm(request.POST if request.method == "POST" else None, initial=initial)
    for field in form.fields.values():
        field.disabled = not member.is_admin
    if request.method == "POST" and form.is_valid() and _save(member, form):
        messages.success(request, _("%(organization)s is saved.") % {"organization": member.organization.name})
        return redirect("organization_settings")
    context = {"form": form, "quotas": quota_uses(member.organization)}
    return render(request, "portal/organization.html", context)


def _save(member: Membership, form: OrganizationForm) -> bool:
    organization = member.organization
    try:
        # A fresh row: if the name is refused, the navigation still shows the old one.
        fresh = Organization.objects.get(pk=organization.pk)
        with transaction.atomic():
            if form.cleaned_data["name"] != fresh.name:
                rename_organization(fresh, form.cleaned_data["name"], by=member.principal)
            require_second_factor(fresh, form.cleaned_data["second_factor_required"], by=member.principal)
            set_key_window(fresh, form.cleaned_data["custody_minutes"], by=member.principal)
            set_device_limit(fresh, form.cleaned_data["devices_per_member"], by=member.principal)
            set_unused_days(fresh, form.cleaned_data["unused_days"], by=member.principal)
            switch_reminders(fresh, off=form.cleaned_data["reminders_off"], by=member.principal)
            set_retention(fresh, form.cleaned_data["journal_days"], by=member.principal)
            set_connection_retention(fresh, form.cleaned_data["connection_days"], by=member.principal)
    except InvalidInput as refusal:
        show_refusal(form, refusal)
        return False
    organization.refresh_from_db()
    return True
