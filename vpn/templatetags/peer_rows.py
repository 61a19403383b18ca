"""The rows of a list of peers. Each value is computed once: a template would ask the same of a peer several times."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from django import template
from django.template.defaultfilters import date
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from portal.web.filled import filled_rows
from vpn.models import Peer
from vpn.templatetags.display import binary_bytes, merged_networks, peer_dot, relative_time

register = template.Library()
_RENDER: Final = partial(render_to_string, "vpn/instances/peer_row.html")
_NETWORKS_SHOWN = 2


class PeerRow(NamedTuple):
    """What the row of a peer says. `more` is the number of a site's networks that `routes` does not name, or ""."""

    pk: str
    state: str
    dot: SafeString
    path: str
    label: str
    note: str
    is_site: bool
    protocol: str
    routes: str
    more: str
    address: str
    # Disabled; else since when an OpenVPN session lasts; else the last handshake in words.
    is_disabled: bool
    session_since: str
    seen: SafeString | str
    received: str
    sent: str


@register.simple_tag
def peer_rows(peers: Iterable[Peer], outdated: Collection[UUID]) -> SafeString:
    """The rows of these peers; `outdated` are those with an outdated profile."""
    rows = (_row(peer, peer.pk in outdated) for peer in peers)
    return filled_rows(_RENDER, (row._asdict() for row in rows))


def _row(peer: Peer, is_outdated: bool) -> PeerRow:
    seen, is_connected = peer.seen, peer.is_connected
    networks = merged_networks(peer.subnets) if peer.is_site else []
    return PeerRow(
        pk=str(peer.pk),
        state=f"{peer.enabled}{is_connected}",
        dot=peer_dot(peer),
        path=reverse("peer", args=[peer.pk]),
        label=peer.label,
        note=_note(peer, is_outdated),
        is_site=peer.is_site,
        protocol=peer.get_protocol_display(),
        routes=_routes(peer, networks),
        more=str(len(networks) - _NETWORKS_SHOWN) if len(networks) > _NETWORKS_SHOWN else "",
        address=str(peer.addresses[0]),
        is_disabled=not peer.enabled,
        session_since=_moment(seen.connected_from) if peer.is_openvpn and is_connected else "",
        seen=relative_time(seen.last_handshake),
        received=binary_bytes(seen.received_bytes),
        sent=binary_bytes(seen.sent_bytes),
    )


def _moment(at: datetime | None) -> str:
    return date(timezone.localtime(at), "j F Y, H:i:s T") if at is not None else ""


def _note(peer: Peer, is_outdated: bool) -> str:
    if is_outdated:
        return _("profile outdated")
    return _("reconnects to receive changes") if peer.is_reconnecting else ""


def _routes(peer: Peer, networks: list[str]) -> str:
    if peer.is_site:
        return ", ".join(networks[:_NETWORKS_SHOWN]) or _("none")
    return _("all traffic") if peer.route_all else _("split tunnel")
