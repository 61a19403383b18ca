"""The rows of a list of peers. Each value is computed once: a template would ask the same of a peer several times."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
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
from vpn.choices import Protocol
from vpn.presenters.peers.listed import ListedPeer
from vpn.templatetags.display import binary_bytes, merged_networks, relative_time, state_dot

register = template.Library()
_RENDER: Final = partial(render_to_string, "vpn/instances/peer_row.html")
_NETWORKS_SHOWN = 2
_ENDS_SOON: Final = timedelta(days=7)
_NO_ID: Final = UUID(int=0)


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
def peer_rows(peers: Iterable[ListedPeer], outdated: Collection[UUID]) -> SafeString:
    """The rows of these peers; `outdated` are those with an outdated profile."""
    # With a stand-in for the id, as to reverse an address takes longer than to replace it.
    path = reverse("peer", args=[_NO_ID])
    rows = (_row(peer, path, is_outdated=peer.pk in outdated) for peer in peers)
    return filled_rows(_RENDER, (row._asdict() for row in rows))


def _row(peer: ListedPeer, path: str, *, is_outdated: bool) -> PeerRow:
    pk, is_connected = str(peer.pk), peer.is_connected
    networks = merged_networks(peer.subnets) if peer.is_site else []
    return PeerRow(
        pk=pk,
        state=f"{peer.enabled}{is_connected}",
        dot=_dot(peer, is_connected=is_connected),
        path=path.replace(str(_NO_ID), pk),
        label=peer.label,
        note=_note(peer, is_outdated),
        is_site=peer.is_site,
        protocol=Protocol(peer.protocol).label,
        routes=_routes(peer, networks),
        more=str(len(networks) - _NETWORKS_SHOWN) if len(networks) > _NETWORKS_SHOWN else "",
        address=peer.instance.own_networks(peer.host)[0].removesuffix("/32"),
        is_disabled=not peer.enabled,
        session_since=_moment(peer.connected_from) if peer.is_openvpn and is_connected else "",
        seen=relative_time(peer.last_handshake),
        received=binary_bytes(peer.received_bytes),
        sent=binary_bytes(peer.sent_bytes),
    )


def _moment(at: datetime | None) -> str:
    return date(timezone.localtime(at), _("j F Y, H:i:s T")) if at is not None else ""


def _dot(peer: ListedPeer, *, is_connected: bool) -> SafeString:
    return state_dot(
        enabled=peer.enabled,
        # A connected peer is admitted.
        is_admitted=is_connected or peer.is_admitted,
        member_state=peer.member_state,
        is_connected=is_connected,
        was_seen=peer.last_handshake is not None,
    )


def _note(peer: ListedPeer, is_outdated: bool) -> str:
    if is_outdated:
        return _("profile outdated")
    if peer.ends_at is not None and timedelta() < peer.ends_at - timezone.now() < _ENDS_SOON:
        return _("ends on %(day)s") % {"day": date(timezone.localtime(peer.ends_at), _("j F"))}
    return _("reconnects to receive changes") if peer.is_reconnecting else ""


def _routes(peer: ListedPeer, networks: list[str]) -> str:
    if peer.is_site:
        return ", ".join(networks[:_NETWORKS_SHOWN]) or _("none")
    return _("all traffic") if peer.route_all else _("split tunnel")
