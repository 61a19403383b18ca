"""A member's one-time link, shown once, in the answer to a POST."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from portal.access import get_member, get_person
from portal.actions.member import one_time_link
from portal.actions.sign_in_link import JOINS, link_kind
from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState


@require_POST
def person_link(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make a new link for a member."""
    return show_link(request, get_person(get_member(request), pk, write=True))


@never_cache
def show_link(request: HttpRequest, person: Membership, *, is_new: bool = False) -> HttpResponse:
    """The page with a new link; back to the person where they cannot have one."""
    try:
        link = one_time_link(person)
    except NotPossible as refusal:
        messages.error(request, refusal.message)
        return redirect("person", pk=person.pk)
    until = timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    context = {"person": person, "link": link, "until": until, "is_new": is_new}
    return render(request, "portal/person_link.html", context)


def offered_link(person: Membership) -> str:
    """Why an admin may want a new link for this person; "" where there can be none."""
    kind = link_kind(person)
    if kind == JOINS:
        return "They have an account already. Make a link that lets this account join."
    if kind and person.state == MembershipState.INVITED:
        return "They have not come yet. Make a new link where the first one was lost or is too old."
    return "Make a link with which they set a new password, where they lost theirs." if kind else ""
