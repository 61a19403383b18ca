"""Editing a peer."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.models import Membership
from vpn.access import get_peer, may_change_subnets
from vpn.actions.peers.exits import exits_of
from vpn.actions.peers.input import PeerChanges
from vpn.actions.peers.peer import update_peer
from vpn.actions.peers.use import refuse_more_days
from vpn.actions.revisions.notes import noted
from vpn.actions.sites.subnets import follows
from vpn.forms.exits import add_exit_fields
from vpn.forms.note import note_of
from vpn.forms.peer import SubnetFields, edit_form
from vpn.models import Peer
from vpn.presenters.dns.name_notes import noting_names
from vpn.views.activity.preview import is_preview, show_preview
from vpn.views.peers.create import warn_about_subnets

_NEW_KEYS = gettext_lazy(" Its keys are new, and so is its profile: fetch it and import it in place of the old one.")


@require_http_methods(["GET", "HEAD", "POST"])
def peer_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change the settings of a peer."""
    member = get_member(request)
    peer = get_peer(member, pk, write=True)
    protocol, generation = peer.protocol, peer.changed_generation
    form = edit_form(peer, request.POST if request.method == "POST" else None)
    add_exit_fields(form, peer, () if peer.is_site else exits_of(peer.instance))
    if peer.site_id is not None and not may_change_subnets(member, peer.site_id):
        # Initial values are shown, and what the browser sends is ignored.
        form.fields["subnets"].disabled = form.fields["is_exit"].disabled = True
    context = {"form": form, "peer": peer, "instance": peer.instance, **_shared(member, peer)}
    if is_preview(request):
        refuse = partial(show_refusal, form)
        notes: list[str] = []
        change = noting_names(notes, Peer.objects.filter(pk=peer.pk), lambda: _change(peer, form, member))
        return show_preview(request, "vpn/peers/edit.html", context, form, change, refuse=refuse, notes=notes)
    if request.method == "POST" and form.is_valid():
        saved = _save(peer, form, member)
        if saved is not None:
            messages.success(request, _outcome(saved, generation, protocol))
            if "subnets" in form.changed_data:
                warn_about_subnets(request, saved)
            return redirect("peer", pk=pk)
    return render(request, "vpn/peers/edit.html", context)


def _shared(member: Membership, peer: Peer) -> dict[str, Any]:
    """Context on what a site's peer shares with its peers on other instances, named in `elsewhere`."""
    if peer.site is None or member.is_operator:
        return {}
    others = peer.site.peers.exclude(pk=peer.pk).order_by("instance__name")
    names = list(others.values_list("instance__name", flat=True))
    return {"elsewhere": names, "site_part": not follows(peer, peer.site.subnets)}


def _outcome(saved: Peer, generation: int, protocol: str) -> str:
    """The message after saving, from the peer's previous generation and protocol."""
    if saved.changed_generation == generation:
        return _("Nothing was different, so nothing changed.")
    words = _("%(peer)s was saved.") % {"peer": saved.label}
    return words if saved.protocol == protocol else f"{words}{_NEW_KEYS}"


def _save(peer: Peer, form: forms.Form, member: Membership) -> Peer | None:
    try:
        return _change(peer, form, member)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return None


def _change(peer: Peer, form: forms.Form, member: Membership) -> Peer:
    changes = PeerChanges()
    for field in PeerChanges.__annotations__.keys() & set(form.changed_data):
        if field == "unused_days":
            refuse_more_days(member, form.cleaned_data[field], peer)
        if field != "expires_at" or not _is_shown(form.cleaned_data[field], peer.expires_at):
            changes[field] = form.cleaned_data[field]  # type: ignore[literal-required]
    if isinstance(form, SubnetFields) and form.leaves_subnets:
        changes.pop("subnets", None)
        changes.pop("confirm_broad_routes", None)
    elif changes and peer.is_site:
        changes["subnets"] = form.cleaned_data["subnets"]
        changes["confirm_broad_routes"] = form.cleaned_data["confirm_broad_routes"]
    with noted(note_of(form)):
        return update_peer(peer, by=member.principal, **changes) if changes else peer


def _is_shown(value: datetime | None, stored: datetime | None) -> bool:
    """Does the form show this stored time, to the minute?"""
    return value is not None and stored is not None and value == stored.replace(second=0, microsecond=0)
