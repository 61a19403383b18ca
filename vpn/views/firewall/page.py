"""An instance's firewall: who reaches whom, as a policy and an ordered table of rules."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.searching import as_typed
from vpn.access import get_instance
from vpn.actions.refusal import InvalidSettings
from vpn.forms.firewall import FirewallForm
from vpn.forms.rule_ends import Ends
from vpn.models import ChangeTrial
from vpn.presenters.instances.head import head_of
from vpn.views.activity.preview import is_preview, show_preview
from vpn.views.edit_guard import change_guarded, save_guarded
from vpn.views.instances.trial import NOTHING, choice_of, chosen_seconds, saved_words


@require_http_methods(["GET", "HEAD", "POST"])
def instance_firewall(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The policy and the rules; buttons in the form rearrange the table without saving it."""
    member = get_member(request)
    instance = get_instance(member, pk, write=request.method == "POST")
    ends = Ends(instance.organization_id)
    if request.method != "POST" and "ends" in request.GET and member.is_admin:
        found = ends.suggested(as_typed(request.GET["ends"]))
        return render(request, "vpn/firewall/ends.html", {"found": found})
    form = FirewallForm(request.POST if request.method == "POST" else None, instance=instance, ends=ends)
    choice = {"trial_choice": choice_of(request, member, instance)}
    if is_preview(request):
        shown = {**head_of(member, instance, "firewall"), "form": form, "ends": ends, **choice}
        ask = partial(change_guarded, instance, form, by=member.principal)
        return show_preview(request, "vpn/firewall/page.html", shown, form, ask, refuse=partial(_refuse, form))
    is_rearranged = request.method == "POST" and form.rearrange()
    if request.method == "POST" and not is_rearranged and form.is_valid():
        is_different = bool(form.changes())
        seconds = chosen_seconds(request)
        former = ChangeTrial.objects.running().filter(instance=instance).first()
        if not is_different or save_guarded(
            instance, form, partial(_refuse, form), by=member.principal, confirm_within=seconds
        ):
            messages.success(request, saved_words(instance, former, seconds) if is_different else NOTHING)
            return redirect("instance_firewall", pk=instance.pk)
    context = {"form": form, "ends": ends, "is_rearranged": is_rearranged, **choice}
    return render(request, "vpn/firewall/page.html", {**head_of(member, instance, "firewall"), **context})


def _refuse(form: FirewallForm, refusal: Conflict | InvalidInput) -> None:
    if not isinstance(refusal, InvalidSettings):
        show_refusal(form, refusal)
        return
    form.show_faults(refusal.rule_faults)
    for field, faults in refusal.errors.items():
        if field in form.fields:
            form.add_error(field, faults)
        elif not refusal.rule_faults:
            form.add_error(None, faults)
