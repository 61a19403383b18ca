"""Groups of members: list, create, change, delete."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import get_admin, get_group, get_member, groups_of
from portal.actions.group import change_group, create_group, delete_group
from portal.exceptions import Conflict, InvalidInput
from portal.forms.group import GroupForm
from portal.forms.refusal import show_refusal
from portal.models import ApiToken, Group, Membership, Principal
from portal.models.api_token import Ceiling
from portal.views.searched import show_search

PAGE_SIZE = 50


@require_safe
def groups(request: HttpRequest) -> HttpResponse:
    """All groups by name, with their number of members."""
    found = groups_of(get_member(request)).annotate(member_count=Count("members"))
    return render(request, "portal/groups.html", {"groups": found})


@require_http_methods(["GET", "HEAD", "POST"])
def group_new(request: HttpRequest) -> HttpResponse:
    """Create a group."""
    member = get_admin(request)
    form = GroupForm(request.POST or None, organization=member.organization)
    if form.is_search:
        return show_search(request, "portal/group_new.html", {"form": form}, form)
    if request.method == "POST" and form.is_valid():
        try:
            made = create_group(member.organization, by=member.principal, **form.cleaned_data)
        except (Conflict, InvalidInput) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("%(made)s is made.") % {"made": made.name})
            return redirect("groups")
    return render(request, "portal/group_new.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
def group(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A group's page; admins change it here."""
    member = get_member(request)
    found = get_group(member, pk, write=request.method == "POST")
    initial = {
        "name": found.name,
        "members": [str(key) for key in found.members.values_list("pk", flat=True)],
        "provisioned": found.is_provisioned,
    }
    data = request.POST if request.method == "POST" else None
    form = GroupForm(data, organization=member.organization, initial=initial, has_directory=_has_directory(found))
    context = {"group": found, "form": form, "page": _page_of_people(found, request)}
    if form.is_search:
        return show_search(request, "portal/group.html", context, form)
    if request.method == "POST" and form.is_valid() and _changed(form, found, member.principal):
        messages.success(request, _("Saved."))
        return redirect("group", pk=found.pk)
    return render(request, "portal/group.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def group_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Confirm and delete; refused while a firewall rule refers to the group."""
    member = get_member(request)
    found = get_group(member, pk, write=True)
    refused = ""
    if request.method == "POST":
        try:
            delete_group(found, by=member.principal)
        except Conflict as refusal:
            refused = refusal.message
        else:
            messages.success(request, _("%(found)s is deleted.") % {"found": found.name})
            return redirect("groups")
    return render(request, "portal/group_delete.html", {"group": found, "refused": refused})


def _has_directory(found: Group) -> bool:
    """Does a directory change this group, or could one?"""
    tokens = ApiToken.objects.filter(membership__organization=found.organization_id, ceiling=Ceiling.SCIM)
    return found.is_provisioned or tokens.exists()


def _page_of_people(found: Group, request: HttpRequest) -> Page[Membership]:
    people = found.members.select_related("user").order_by("user__name", "user__email")
    return Paginator(people, PAGE_SIZE).get_page(request.GET.get("page"))


def _changed(form: GroupForm, found: Group, by: Principal) -> bool:
    try:
        change_group(found, by=by, **form.cleaned_data)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return False
    return True
