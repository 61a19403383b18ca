"""Mail to the members whom a change affects."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import NotPossible
from portal.mail import is_shown
from portal.models import MembershipState
from vpn.access import get_plan
from vpn.actions.activity.plan_mail import recipients_of, request_mail, unlisted_profiles
from vpn.models import ChangePlan, Instance

_CHUNK: Final = 500  # ids in one query


@require_http_methods(["GET", "HEAD", "POST"])
def plan_mail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET names the members whose profiles the change outdated; POST mails them, in the background."""
    member = get_member(request)
    plan = get_plan(member, pk, write=True)
    if request.method != "POST":
        return render(request, "vpn/activity/plan_mail.html", _context(plan))
    try:
        request_mail(plan, by=member.principal)
        messages.success(request, _("The people with outdated profiles are being mailed."))
    except NotPossible as refusal:
        messages.error(request, refusal.message)
    return redirect("instance_activity", pk=plan.instance_id)


def mail_offered(instance: Instance, outdated: Collection[UUID]) -> ChangePlan | None:
    """The newest change that outdated profiles, if owners of these `outdated` peers have not been mailed yet.

    The peers are in the order of the instance's list.
    """
    newest = (
        instance.change_plans.exclude(outdated=[]).order_by("-generation").defer("outdated", "plan", "delta").first()
    )
    if newest is None or newest.mail_requested_at is not None:
        return None
    owned, ids = instance.peers.filter(member__state=MembershipState.ACTIVE), list(outdated)
    # Devices are last in the list, so that the first query finds one nearly always.
    chunks = (ids[max(end - _CHUNK, 0) : end] for end in range(len(ids), 0, -_CHUNK))
    return newest if any(owned.filter(pk__in=chunk).exists() for chunk in chunks) else None


def _context(plan: ChangePlan) -> dict[str, object]:
    people = sorted(recipients_of(plan).items(), key=lambda one: one[0].label.casefold())
    return {
        "plan": plan,
        "instance": plan.instance,
        "people": [
            (member, [peer.device or _("a device without a name") for peer in peers]) for member, peers in people
        ],
        "is_asked": plan.mail_requested_at is not None,
        "is_shown": is_shown(),
        "unlisted": unlisted_profiles(plan),
    }
