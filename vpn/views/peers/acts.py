"""Disable, enable, renew keys, delete: each page says what will stop working and asks once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from portal.access import get_member
from portal.exceptions import Conflict, InvalidInput
from portal.models import Principal
from vpn.access import get_fetchable, get_peer
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.lost import report_lost
from vpn.actions.peers.peer import delete_peer, update_peer
from vpn.actions.sites.router import end_router
from vpn.models import Peer
from vpn.presenters.peers.condition import lost_hub_words
from vpn.templatetags.display import merged_networks

_NETWORKS_NAMED = 3


@dataclass(frozen=True)
class Act:
    """An act that is confirmed once: the verb of button, heading and message, and its meaning."""

    verb: str | Promise
    # With "{}" for the peer's name, like the question.
    done: str | Promise
    question: str | Promise
    run: Callable[[Peer, Principal], object]
    afterwards: Callable[[Peer], str]
    dangerous: bool = True
    # May the device's owner do it, too?
    for_owner: bool = False


@require_http_methods(["GET", "HEAD", "POST"])
def peer_disable(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Refuse a peer until it is enabled again."""
    return _asked_once(request, pk, _DISABLE)


@require_http_methods(["GET", "HEAD", "POST"])
def peer_enable(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Admit a disabled peer again."""
    return _asked_once(request, pk, _ENABLE)


@require_http_methods(["GET", "HEAD", "POST"])
def peer_rotate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give a peer new keys."""
    return _asked_once(request, pk, _ROTATE)


@require_http_methods(["GET", "HEAD", "POST"])
def peer_lost(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Report a device as lost: it is shut out at once, and the admins are told."""
    return _asked_once(request, pk, _LOST)


@require_http_methods(["GET", "HEAD", "POST"])
def peer_router_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a router's tokens and key."""
    return _asked_once(request, pk, _REVOKE_ROUTER)


@require_http_methods(["GET", "HEAD", "POST"])
def peer_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Revoke and remove a peer."""
    return _asked_once(request, pk, _DELETE)


def _asked_once(request: HttpRequest, pk: UUID, act: Act) -> HttpResponse:
    member = get_member(request)
    peer = get_fetchable(member, pk) if act.for_owner else get_peer(member, pk, write=True)
    if (act is _LOST and peer.is_site) or (act is _REVOKE_ROUTER and not peer.is_site):
        raise Http404
    manages = member.manages_peers_of(peer.instance_id)
    if act is _DELETE and not manages:
        act = _REMOVE
    context = {
        "act": act,
        "question": str(act.question).format(peer.label),
        "peer": peer,
        "instance": peer.instance,
        "stops": _stops(peer) if act.dangerous else [],
        "afterwards": act.afterwards(peer),
    }
    if request.method != "POST":
        return render(request, "vpn/peers/confirm.html", context)
    label, instance_pk = peer.label, peer.instance_id
    try:
        act.run(peer, member.principal)
    except (Conflict, InvalidInput) as refusal:
        return render(request, "vpn/peers/confirm.html", {**context, "refusal": str(refusal)}, status=409)
    messages.success(request, str(act.done).format(label))
    if act is _REMOVE:
        return redirect("my")
    if act is _DELETE:
        return redirect("instance", pk=instance_pk)
    return redirect("peer", pk=pk)


def _stops(peer: Peer) -> list[str]:
    """What ends with this peer's tunnel."""
    lines = []
    if peer.is_connected:
        lines.append(_("It is connected now; its connection ends within seconds."))
    if peer.is_site:
        networks = merged_networks(peer.subnets)
        named = (
            ", ".join(networks)
            if len(networks) <= _NETWORKS_NAMED
            else _("%(count)s networks") % {"count": len(networks)}
        )
        lines.append(
            _("Nothing behind its router can be reached through the VPN any more: %(named)s.") % {"named": named}
        )
        lines.append(_("The site reaches neither the other sites nor the clients."))
    else:
        lines.append(_("The device reaches nothing behind the hub any more."))
        if peer.route_all:
            lines.append(
                _("All its traffic goes through the VPN: while the tunnel is switched on, it has no internet either.")
            )
    return lines


def _afterwards_deleted(peer: Peer) -> str:
    rest = _("The site itself stays under Sites.") if peer.is_site else _("To connect the device again, add it anew.")
    return _("Its keys and its profile end for good; this cannot be undone.") + f" {rest}"


_DISABLE = Act(
    verb=gettext_lazy("Disable"),
    done=gettext_lazy("{}: disabled."),
    question=gettext_lazy("Disable {}?"),
    run=lambda peer, by: update_peer(peer, by=by, enabled=False),
    afterwards=lambda peer: _("Its keys and addresses stay: once enabled again, the same profile works."),
)
_ENABLE = Act(
    verb=gettext_lazy("Enable"),
    done=gettext_lazy("{}: enabled."),
    question=gettext_lazy("Enable {}?"),
    run=lambda peer, by: update_peer(peer, by=by, enabled=True),
    afterwards=lambda peer: _("The hub lets it in again, with the profile that it has."),
    dangerous=False,
)
_ROTATE = Act(
    verb=gettext_lazy("Renew keys"),
    done=gettext_lazy("{}: keys renewed. Fetch the new profile."),
    question=gettext_lazy("Renew the keys of {}?"),
    run=lambda peer, by: rotate_keys(peer, by=by),
    afterwards=lambda peer: _(
        "The profile that it has, and share links to it, end. It works again with a new profile."
    ),
    for_owner=True,
)
_REVOKE_ROUTER = Act(
    verb=gettext_lazy("Revoke router"),
    done=gettext_lazy("{}: router revoked."),
    question=gettext_lazy("Revoke the router of {}?"),
    run=lambda peer, by: end_router(peer, by=by),
    afterwards=lambda peer: _(
        "The hub refuses the router's key at once, and the router takes its tunnel down at its next check-in. To "
        "connect the site again, enrol a router anew or renew the keys and fetch the profile."
    ),
)
_DELETE = Act(
    verb=gettext_lazy("Delete peer"),
    done=gettext_lazy("{}: deleted."),
    question=gettext_lazy("Delete the peer {}?"),
    run=lambda peer, by: delete_peer(peer, by=by),
    afterwards=_afterwards_deleted,
    for_owner=True,
)
# The same, of one's own device.
_REMOVE = replace(
    _DELETE,
    verb=gettext_lazy("Remove device"),
    done=gettext_lazy("{}: removed."),
    question=gettext_lazy("Remove {}?"),
    afterwards=lambda peer: _(
        "Its keys and its profile end for good. Whether you can add it again depends on what your admins allow."
    ),
)
_LOST = Act(
    verb=gettext_lazy("Report as lost"),
    done=gettext_lazy("{}: reported as lost. Its keys ended, and the admins are told."),
    question=gettext_lazy("Is {} lost?"),
    run=lambda peer, by: report_lost(peer, by=by),
    afterwards=lambda peer: (
        _(
            "It is shut out at once, its keys end for good, and the admins are told by mail. If it turns up again, an "
            "admin can let it in with a new profile."
        )
        + f" {lost_hub_words(peer)}".rstrip()
    ),
    for_owner=True,
)
