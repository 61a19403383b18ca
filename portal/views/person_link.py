"""A member's one-time link: mailed to them, or shown once if the portal sends no mail."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from portal.access import get_member, get_person
from portal.actions.link_mail import mail_link
from portal.actions.sign_in_link import can_have_link, handed_link, one_time_link
from portal.exceptions import NotPossible
from portal.mail import reaches_people
from portal.models import Membership, MembershipState, Principal


@require_POST
def person_link(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Create a new link for a member."""
    member = get_member(request)
    return hand_over_link(request, get_person(member, pk, write=True), by=member.principal)


@never_cache
def hand_over_link(request: HttpRequest, person: Membership, *, by: Principal, is_new: bool = False) -> HttpResponse:
    """Mail a new link and say so, or show it; return to the person's page if they cannot have one."""
    try:
        if reaches_people():
            if mail_link(person, by=by):
                messages.success(request, _("A link is on its way to %(email)s.") % {"email": person.user.email})
            return redirect("person", pk=person.pk)
        # An invitation has a line already.
        link = one_time_link(person) if is_new else handed_link(person, by=by)
    except NotPossible as refusal:
        messages.error(request, refusal.message)
        return redirect("person", pk=person.pk)
    until = timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    context = {"person": person, "link": link, "until": until, "is_new": is_new}
    return render(request, "portal/person_link.html", context)


def offered_link(person: Membership) -> str:
    """Return the text that offers a new link for this person; "" if they may have none."""
    if not can_have_link(person):
        return ""
    is_mailed = reaches_people()
    if person.state == MembershipState.INVITED:
        return (
            _("They have not joined yet. Mail a new link if the first one was lost or has expired.")
            if is_mailed
            else _("They have not joined yet. Make a new link if the first one was lost or has expired.")
        )
    return (
        _("Mail a link to set a new password, if they lost theirs.")
        if is_mailed
        else _("Make a link to set a new password, if they lost theirs.")
    )
