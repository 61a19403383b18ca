"""Changes on trial: the choice beside Save, and the banner with which a change is kept or taken back."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.models import Membership
from vpn.access import get_instance
from vpn.actions.instances.trial import FIELD, keep_change, return_change
from vpn.models import ChangeTrial, Instance
from vpn.presenters.instances.trial import TrialChoice, is_through, shown_trial, span_words

_ACTS = {
    "keep": (keep_change, gettext_lazy("The change is confirmed and stays.")),
    "return": (return_change, gettext_lazy("The former settings are back. The hub follows within seconds.")),
}
NOTHING: Final = gettext_lazy("Nothing was different, so nothing changed.")
_TABS = {"routing", "dns", "firewall", "settings", "activity"}


@require_http_methods(["GET", "HEAD", "POST"])
def instance_trial(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET answers the banner for the page's poll; POST keeps the change (`act=keep`) or takes it back."""
    member = get_member(request)
    instance = get_instance(member, pk, write=request.method == "POST")
    tab = request.POST.get("tab", "") if request.method == "POST" else request.GET.get("tab", "")
    page = f"instance_{tab}" if tab in _TABS else "instance"
    if request.method != "POST":
        if not request.headers.get("HX-Request"):
            return redirect(page, pk=pk)
        context = {"instance": instance, "trial": shown_trial(instance), "tab": tab, "may_change": member.is_admin}
        return render(request, "vpn/instances/trial.html", context)
    asked = request.POST.get("act", "")
    if asked not in _ACTS:
        messages.error(request, _("Choose whether to keep the change or to return."))
        return redirect(page, pk=pk)
    act, done = _ACTS[asked]
    try:
        act(instance, by=member.principal)
    except (Conflict, InvalidInput) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect(page, pk=pk)


def chosen_seconds(request: HttpRequest) -> int | None:
    """After how many seconds the saved change shall be taken back; None if it is to stay. 0 is refused by the action.

    The field is a checkbox, whose value is a number of seconds.
    """
    text = request.POST.get(FIELD, "")
    return (int(text) if text.isdecimal() and len(text) < 10 else 0) if text else None


def saved_words(instance: Instance, former: ChangeTrial | None, seconds: int | None) -> str:
    """What a page says after a save; `former` was on trial before it.

    What was sent may be written otherwise and mean the same, so that nothing is on trial.
    """
    if seconds is not None and ChangeTrial.objects.running().filter(instance=instance).first() == former:
        return str(NOTHING)
    if seconds is None:
        return _("Saved.")
    return _("Saved. Confirm it within %(seconds)s, or the hub returns.") % {"seconds": span_words(seconds)}


def choice_of(request: HttpRequest, member: Membership, instance: Instance) -> TrialChoice | None:
    """The choice beside Save: as it was sent, else preselected for who is connected through this hub.

    None where there is no hub yet that could return.
    """
    if not member.is_admin or not instance.configured:
        return None
    through = is_through(request.META.get("REMOTE_ADDR", ""), member, instance)
    is_chosen = bool(request.POST.get(FIELD)) if request.method == "POST" else through
    return TrialChoice(is_chosen, through)
