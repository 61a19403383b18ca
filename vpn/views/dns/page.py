"""An instance's DNS: its records, its domains, and its upstream servers."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.htmx import render_page
from portal.models import Membership
from vpn.access import get_instance
from vpn.actions.dns.settings import unanswered_targets
from vpn.actions.refusal import InvalidSettings
from vpn.forms.dns import PREFIX, DnsForm
from vpn.models import Instance
from vpn.presenters.instances.head import head_of
from vpn.presenters.peers.search import PeerSearch
from vpn.profiles.peer import resolver_of
from vpn.views.activity.preview import is_preview, show_preview
from vpn.views.edit_guard import change_guarded, save_guarded


@require_http_methods(["GET", "HEAD", "POST"])
def instance_dns(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Servers, domains, records and the peers' names; buttons in the form add and remove rows without saving."""
    member = get_member(request)
    instance = get_instance(member, pk, write=request.method == "POST")
    data = request.POST if request.method == "POST" else None
    form = DnsForm(data, instance=instance, may_change=member.is_admin, unanswered=unanswered_targets(instance))
    if is_preview(request):
        shown = {"form": form, **_names(request, member, instance)}
        ask = partial(change_guarded, instance, form, by=member.principal)
        return show_preview(request, "vpn/dns/page.html", shown, form, ask, refuse=partial(_refuse, form))
    is_rearranged = data is not None and form.rearrange()
    if data is not None and not is_rearranged and form.is_valid():
        is_different = bool(form.changes())
        if not is_different or save_guarded(instance, form, partial(_refuse, form), by=member.principal):
            messages.success(request, "Saved." if is_different else _("Nothing was different, so nothing changed."))
            return redirect("instance_dns", pk=instance.pk)
    context = {"form": form, "is_rearranged": is_rearranged, **_names(request, member, instance)}
    return render_page(request, "vpn/dns/page.html", context, fragment="names")


def _refuse(form: DnsForm, refusal: Conflict | InvalidInput) -> None:
    if not isinstance(refusal, InvalidSettings):
        show_refusal(form, refusal)
        return
    form.show_faults(refusal.record_faults)
    # Faults shown beside a row are not repeated above the form.
    told = {PREFIX} if refusal.record_faults else set()
    rest = {field: texts for field, texts in refusal.errors.items() if field not in told}
    show_refusal(form, InvalidInput(rest))


def _names(request: HttpRequest, member: Membership, instance: Instance) -> dict[str, Any]:
    """Context for the head, the resolver's addresses, and one page of the peers' names."""
    head = head_of(member, instance, "dns")
    search = PeerSearch.from_query(request.GET)
    page = search.page(member, instance, head["peers"], number=request.GET.get("page"))
    return {**head, "resolver": resolver_of(instance), "search": search, "page": page, "query": search.as_query()}
