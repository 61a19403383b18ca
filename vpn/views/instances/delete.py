"""Deleting an instance: one question, with what stops working."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict
from vpn.access import get_instance
from vpn.actions.instances.instance import delete_instance
from vpn.presenters.instances.head import head_of


@require_http_methods(["GET", "HEAD", "POST"])
def instance_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET says what stops working; POST starts to delete the hub."""
    member = get_member(request)
    instance = get_instance(member, pk, write=True)
    if request.method == "POST":
        try:
            delete_instance(instance, by=member.principal)
        except Conflict as refusal:
            messages.error(request, refusal.message)
            return redirect("instance_settings", pk=pk)
        messages.success(
            request, _("%(instance)s is being deleted. Its peers no longer connect.") % {"instance": instance.name}
        )
        return redirect("instances")
    return render(request, "vpn/instances/delete.html", head_of(member, instance, "settings"))
