"""The activity of an instance: its operations, newest first."""

from __future__ import annotations

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from portal.access import get_member
from portal.htmx import render_page
from vpn.access import get_instance
from vpn.choices import PlanState
from vpn.jobs.runtime.heartbeat import is_served
from vpn.presenters.activity.plan import plans_of
from vpn.presenters.findings import names_in
from vpn.presenters.instances.head import head_of
from vpn.views.activity.progress import progress_of

OPERATIONS_EACH_PAGE = 20


@require_safe
def instance_activity(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The operations with their steps."""
    member = get_member(request)
    found = get_instance(member, pk)
    pages = Paginator(found.operations.prefetch_related("steps"), OPERATIONS_EACH_PAGE)
    page = pages.get_page(request.GET.get("page"))
    plans, names = plans_of(page), names_in(found for one in page for found in one.undone)
    is_waiting = any(plan.noted.state == PlanState.WAITING for some in plans.values() for plan in some)
    context = {
        **head_of(member, found, "activity"),
        "page": page,
        "runs": [progress_of(one, plans.get(one.pk, ()), names) for one in page],
        "is_running": is_waiting or any(not one.is_finished for one in page),
        "is_plan_served": not is_waiting or is_served("plan"),
    }
    return render_page(request, "vpn/activity/operations.html", context, fragment="operations")
