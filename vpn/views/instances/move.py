"""Moving an instance to another region, rebuilding its hub, and ending what former servers forward."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.forms.refusal import show_refusal
from vpn.access import get_instance, sites_of
from vpn.actions.instances.move import cancel_move, check_movable, move_instance, rebuild_instance
from vpn.actions.instances.retirement import end_forwarding
from vpn.forms.move import MoveForm
from vpn.models import Instance, Region
from vpn.presenters.instances.head import head_of
from vpn.presenters.instances.moves import regions_with_other_ports, ways_of
from vpn.presenters.regions.choice import choose_region
from vpn.views.regions import measuring


@require_http_methods(["GET", "HEAD", "POST"])
def instance_move(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """GET shows the regions and what will happen; POST begins the move."""
    member = get_member(request)
    instance = get_instance(member, pk, write=True)
    if (elsewhere := _refused(request, instance)) is not None:
        return elsewhere
    form = MoveForm(instance, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            move_instance(instance, form.cleaned_data["region"], by=member.principal)
        except (Conflict, InvalidInput) as refusal:
            show_refusal(form, refusal)
        else:
            return redirect("instance_progress", pk=pk)
    connected = sites_of(member).filter(pk__in=instance.peers.values("site"))
    regions = list(Region.objects.with_room())
    choice = choose_region(regions, connected, chosen=request.POST.get("region", ""), current=instance.region_id)
    context = {"form": form, "choice": choice, "other_ports": regions_with_other_ports(instance)}
    page = render(request, "vpn/instances/move.html", {**head_of(member, instance, "settings"), **context})
    return measuring(request, page, choice)


@require_http_methods(["GET", "HEAD", "POST"])
def instance_rebuild(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET says what will happen; POST begins to build the hub anew."""
    member = get_member(request)
    instance = get_instance(member, pk, write=True)
    if request.method == "POST":
        return _act(request, lambda: rebuild_instance(instance, by=member.principal), "instance_progress", pk)
    if (elsewhere := _refused(request, instance)) is not None:
        return elsewhere
    context = {**head_of(member, instance, "settings"), "ways": ways_of(instance)}
    return render(request, "vpn/instances/rebuild.html", context)


@require_POST
def instance_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Leave the hub where it is."""
    member = get_member(request)
    instance = get_instance(member, pk, write=True)
    return _act(request, lambda: cancel_move(instance, by=member.principal), "instance_progress", pk)


@require_POST
def instance_forwarding_end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let former servers forward no more."""
    member = get_member(request)
    instance = get_instance(member, pk, write=True)
    return _act(request, lambda: end_forwarding(instance, by=member.principal), "instance_settings", pk)


def _refused(request: HttpRequest, instance: Instance) -> HttpResponse | None:
    """Show the progress instead of a form that would be refused; None where the form is right."""
    try:
        check_movable(instance)
    except (Conflict, NotPossible) as refusal:
        messages.error(request, str(refusal))
        return redirect("instance_progress", pk=instance.pk)
    return None


def _act(request: HttpRequest, act: Callable[[], object], done: str, pk: UUID) -> HttpResponse:
    try:
        act()
    except (Conflict, InvalidInput) as refusal:
        messages.error(request, str(refusal))
        return redirect("instance_settings", pk=pk)
    return redirect(done, pk=pk)
