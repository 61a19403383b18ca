"""Editing a peer."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from vpn.access import get_peer
from vpn.actions.peer import update_peer
from vpn.actions.peer_input import PeerChanges
from vpn.forms.peer import edit_form
from vpn.models import Peer
from vpn.views.peer_new import warn_about_subnets
from vpn.views.preview import is_preview, show_preview

_NEW_KEYS = " Its keys are new, and so is its profile: fetch it and import it in place of the old one."


@require_http_methods(["GET", "HEAD", "POST"])
def peer_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change what can be changed on a peer."""
    member = get_member(request)
    peer = get_peer(member, pk, write=True)
    protocol = peer.protocol
    form = edit_form(peer, request.POST if request.method == "POST" else None)
    context = {"form": form, "peer": peer, "instance": peer.instance}
    if is_preview(request):
        refuse = partial(show_refusal, form)
        return show_preview(request, "vpn/peer_edit.html", context, form, lambda: _change(peer, form), refuse=refuse)
    if request.method == "POST" and form.is_valid():
        saved = _save(peer, form)
        if saved is not None:
            messages.success(request, f"{saved.label} was saved.{_NEW_KEYS if saved.protocol != protocol else ''}")
            if "subnets" in form.changed_data:
                warn_about_subnets(request, saved)
            return redirect("peer", pk=pk)
    return render(request, "vpn/peer_edit.html", context)


def _save(peer: Peer, form: forms.Form) -> Peer | None:
    try:
        return _change(peer, form)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return None


def _change(peer: Peer, form: forms.Form) -> Peer:
    changes = PeerChanges()
    for field in form.changed_data:
        changes[field] = form.cleaned_data[field]  # type: ignore[literal-required]
    if not changes:
        return peer
    if peer.is_site:
        changes["subnets"] = form.cleaned_data["subnets"]
        changes["confirm_broad_routes"] = form.cleaned_data["confirm_broad_routes"]
    return update_peer(peer, **changes)
