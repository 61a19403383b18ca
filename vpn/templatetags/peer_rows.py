"""The rows of a list of peers. Each value is computed once: a template would ask the same of a peer several times."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from vpn.models import Peer
from vpn.templatetags.display import binary_bytes, merged_networks, peer_dot, relative_time

register = template.Library()
_NETWORKS_SHOWN = 2


@dataclass(frozen=True, slots=True)
class PeerRow:
    """What the row of a peer says. `more` is the number of a site's networks that `routes` does not name."""

    pk: UUID
    state: str
    dot: SafeString
    path: str
    label: str
    note: str
    is_site: bool
    protocol: str
    routes: str
    more: int
    address: str
    # Disabled; else since when an OpenVPN session lasts; else the last handshake in words.
    is_disabled: bool
    session_since: datetime | None
    seen: SafeString | str
    received: str
    sent: str


@register.simple_tag
def peer_rows(peers: Iterable[Peer], outdated: Collection[UUID]) -> list[PeerRow]:
    """The rows of these peers; `outdated` are those with an outdated profile."""
    return [_row(peer, peer.pk in outdated) for peer in peers]


def _row(peer: Peer, is_outdated: bool) -> PeerRow:
    seen, is_connected = peer.seen, peer.is_connected
    networks = merged_networks(peer.subnets) if peer.is_site else []
    return PeerRow(
        pk=peer.pk,
        state=f"{peer.enabled}{is_connected}",
        dot=peer_dot(peer),
        path=reverse("peer", args=[peer.pk]),
        label=peer.label,
        note=_note(peer, is_outdated),
        is_site=peer.is_site,
        protocol=peer.get_protocol_display(),
        routes=_routes(peer, networks),
        more=max(len(networks) - _NETWORKS_SHOWN, 0),
        address=str(peer.addresses[0]),
        is_disabled=not peer.enabled,
        session_since=seen.connected_from if peer.is_openvpn and is_connected else None,
        seen=relative_time(seen.last_handshake),
        received=binary_bytes(seen.received_bytes),
        sent=binary_bytes(seen.sent_bytes),
    )


def _note(peer: Peer, is_outdated: bool) -> str:
    if is_outdated:
        return _("profile outdated")
    return _("reconnects to receive changes") if peer.is_reconnecting else ""


def _routes(peer: Peer, networks: list[str]) -> str:
    if peer.is_site:
        return ", ".join(networks[:_NETWORKS_SHOWN]) or _("none")
    return _("all traffic") if peer.route_all else _("split tunnel")
