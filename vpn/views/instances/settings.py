"""An instance's settings, one tab each: routing, and the rest."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.models import Membership, Principal
from vpn.access import get_instance, peers_of
from vpn.actions.instances.move import MOVABLE
from vpn.actions.instances.public_name import check_name
from vpn.actions.instances.settings import update_instance
from vpn.actions.revisions.notes import noted
from vpn.choices import PeerType, Protocol
from vpn.forms.instance import RoutingForm, SettingsForm, settings_form
from vpn.forms.note import NOTE, note_of
from vpn.models import ChangeTrial, Instance, Peer
from vpn.models.peer import with_openvpn
from vpn.models.querysets import PeerQuerySet
from vpn.presenters.instances.head import head_of
from vpn.presenters.instances.moves import forwardings_of, ways_of
from vpn.presenters.instances.public_name import shown_name
from vpn.presenters.instances.routes import pushed_ways
from vpn.presenters.lists import linked
from vpn.views.activity.preview import is_preview, show_preview
from vpn.views.instances.trial import NOTHING, choice_of, chosen_seconds, saved_words

# How many sites the routing page names; the others are in the list of peers.
SITES_SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
def instance_routing(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Pushed routes: the networks that split-tunnel devices send through the hub."""
    member = get_member(request)
    instance = get_instance(member, pk, write=request.method == "POST")
    sites = _advertised(member, instance)
    context: dict[str, Any] = {"sites": _first(sites), "ways": pushed_ways(instance, sites)}
    context["trial_choice"] = choice_of(request, member, instance)
    return _settings_page(request, member, instance, "routing", RoutingForm, **context)


@require_http_methods(["GET", "HEAD", "POST"])
def instance_settings(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Name, MTU, the hub's facts, and the way to its end."""
    member = get_member(request)
    instance = get_instance(member, pk, write=request.method == "POST")
    needing = _needing_compat(member, instance)
    context = {
        "needs_openvpn": bool(with_openvpn([instance.pk])),
        "needs_compat": needing,
        "compat_sites": linked((reverse("peer", args=[peer.pk]), peer.label) for peer in needing) if needing else "",
        "shown_name": shown_name(instance),
        "forwardings": forwardings_of(instance),
        "ways": ways_of(instance),
        "may_move": instance.state in MOVABLE,
    }
    return _settings_page(request, member, instance, "settings", SettingsForm, **context)


@require_POST
def instance_name_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Look at the public name now, as after its records were made by hand."""
    member = get_member(request)
    check_name(get_instance(member, pk, write=True), by=member.principal)
    messages.success(request, _("The name is checked within a few seconds."))
    return redirect("instance_settings", pk=pk)


def _settings_page(
    request: HttpRequest, member: Membership, instance: Instance, tab: str, kind: type[forms.Form], **context: Any
) -> HttpResponse:
    data = request.POST if request.method == "POST" else None
    form = settings_form(kind, instance, data, may_change=member.is_admin)
    template, shown = f"vpn/instances/{tab}.html", {**head_of(member, instance, tab), "form": form, **context}
    if is_preview(request):
        change = partial(_change, instance, form, member.principal)
        return show_preview(request, template, shown, form, change, refuse=partial(show_refusal, form))
    former = ChangeTrial.objects.running().filter(instance=instance).first() if data is not None else None
    if data is not None and form.is_valid() and _save(request, instance, form, member.principal):
        words = saved_words(instance, former, chosen_seconds(request)) if set(form.changed_data) - {NOTE} else NOTHING
        messages.success(request, words)
        return redirect(f"instance_{tab}", pk=instance.pk)
    return render(request, template, shown)


def _save(request: HttpRequest, instance: Instance, form: forms.Form, by: Principal) -> bool:
    """Apply what differs; False if it was refused, with the reason in the form."""
    try:
        _change(instance, form, by, chosen_seconds(request))
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return False
    return True


def _change(instance: Instance, form: forms.Form, by: Principal, confirm_within: int | None = None) -> None:
    changes = {name: form.cleaned_data[name] for name in form.changed_data if name != NOTE}
    changes = {name: value for name, value in changes.items() if value != getattr(instance, name)}
    if changes:
        with noted(note_of(form)):
            update_instance(instance, by=by, confirm_within=confirm_within, **changes)


def _needing_compat(member: Membership, instance: Instance) -> list[Peer]:
    """The site peers that need the OpenVPN listener with old ciphers."""
    routers = peers_of(member, instance).admitted().filter(type=PeerType.SITE, protocol=Protocol.OPENVPN)
    return [peer for peer in routers.order_by("site__name") if peer.site is not None and peer.site.needs_compat]


def _advertised(member: Membership, instance: Instance) -> PeerQuerySet:
    """The site peers, whose subnets the hub routes."""
    sites = peers_of(member, instance).filter(type=PeerType.SITE).order_by("site__name", "id")
    return sites.select_related(None).select_related("site").only("type", "enabled", "subnets", "site__name")


def _first(sites: PeerQuerySet) -> list[Peer]:
    """The first of them by name. The database sorts names alone, then reads the rows."""
    ids = list(sites.values_list("pk", flat=True)[:SITES_SHOWN])
    rows = sites.in_bulk(ids)
    return [rows[pk] for pk in ids if pk in rows]
