"""A member's own devices: add one where the admins allow it, and rename one."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.models import Membership
from vpn.access import get_fetchable
from vpn.actions.peers.own import add_own_device, devices_left, open_instances
from vpn.actions.peers.peer import update_peer
from vpn.forms.own_device import DeviceNameForm, OwnDeviceForm
from vpn.models import Peer


@require_http_methods(["GET", "HEAD", "POST"])
def my_device_new(request: HttpRequest) -> HttpResponse:
    """Add a device of one's own; 404 where no instance allows it."""
    member = get_member(request)
    instances = open_instances(member)
    if not instances.exists():
        raise Http404
    form = OwnDeviceForm(request.POST if request.method == "POST" else None, instances=instances)
    if request.method == "POST" and form.is_valid() and (peer := _add(member, form)) is not None:
        messages.success(request, _("%(device)s was added.") % {"device": peer.device})
        return redirect("peer" if peer.is_openvpn else "peer_key", pk=peer.pk)
    context = {"form": form, "left": devices_left(member), "limit": member.device_limit}
    # The only hub decides what the page says of its traffic.
    context["instance"] = form.only
    return render(request, "vpn/profiles/my_device_new.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def peer_rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give a device another name: its owner's choice."""
    member = get_member(request)
    peer = get_fetchable(member, pk)
    if peer.is_site:
        raise Http404
    form = DeviceNameForm(request.POST if request.method == "POST" else None, initial={"device": peer.device})
    if request.method == "POST" and form.is_valid():
        try:
            update_peer(peer, by=member.principal, device=form.cleaned_data["device"])
        except (Conflict, InvalidInput) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("The device is called %(device)s.") % form.cleaned_data)
            return redirect("peer", pk=pk)
    context = {"form": form, "peer": peer, "instance": peer.instance}
    return render(request, "vpn/peers/rename.html", context)


def _add(member: Membership, form: OwnDeviceForm) -> Peer | None:
    values = dict(form.cleaned_data)
    try:
        return add_own_device(values.pop("instance"), by=member.principal, member=member, **values)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return None
