"""Writing to the people whom a change concerns."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from portal.access import get_member
from portal.exceptions import NotPossible
from vpn.access import get_plan
from vpn.actions.plan_mail import request_mail


@require_POST
def plan_mail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Mail everybody whose profile the change outdated, in the background."""
    plan = get_plan(get_member(request), pk, write=True)
    try:
        request_mail(plan)
        messages.success(request, "Messages to the people whose profiles are outdated are being written.")
    except NotPossible as refusal:
        messages.error(request, refusal.message)
    return redirect("instance_activity", pk=plan.instance_id)
