"""The peers of a list from columns: for 50 of them, models take longer than all else of a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from django.utils import timezone

from vpn.choices import PeerType, Protocol
from vpn.models import Instance
from vpn.models.connection import ends_at, has_tunnel, is_admitted
from vpn.models.querysets import PeerQuerySet


class _Columns(NamedTuple):
    pk: UUID
    type: str
    protocol: str
    device: str
    subnets: list[str]
    route_all: bool
    enabled: bool
    expires_at: datetime | None
    unused_until: datetime | None
    host: int
    public_key: str
    dns_label: str
    site_name: str | None
    member_state: str | None
    member_slug: str | None
    user_email: str | None
    user_name: str | None
    user_is_active: bool | None
    seen_key: str | None
    last_handshake: datetime | None
    connected_from: datetime | None
    push_generation: int | None
    received_bytes: int | None
    sent_bytes: int | None


_PATHS: Final = {
    "site_name": "site__name",
    "member_state": "member__state",
    "member_slug": "member__slug",
    "user_email": "member__user__email",
    "user_name": "member__user__name",
    "user_is_active": "member__user__is_active",
    "seen_key": "observation__public_key",
} | {
    name: f"observation__{name}"
    for name in ("last_handshake", "connected_from", "push_generation", "received_bytes", "sent_bytes")
}
_COLUMNS: Final = tuple(_PATHS.get(name, name) for name in _Columns._fields)


class ListedPeer(_Columns):
    """What a list shows of a peer. Each property is as that of Peer."""

    instance: Instance

    @classmethod
    def of(cls, row: Sequence[Any], instance: Instance) -> Self:
        """The peer of a row of the columns."""
        peer = cls(*row)
        if peer.seen_key != peer.public_key:
            # An observation belongs to a key; as Peer.seen.
            peer = peer._replace(last_handshake=None, connected_from=None, push_generation=None)
        peer.instance = instance
        return peer

    @property
    def is_site(self) -> bool:
        """Is the other end a router?"""
        return self.type == PeerType.SITE

    @property
    def is_openvpn(self) -> bool:
        """Does it connect over OpenVPN?"""
        return self.protocol == Protocol.OPENVPN

    @property
    def label(self) -> str:
        """The site's name, or the owner and the device's name."""
        if self.site_name is not None:
            return self.site_name
        owner = self.user_name or self.user_email or ""
        return f"{owner} / {self.device}" if self.device else owner

    @property
    def relative_name(self) -> str:
        """Its name relative to the hub's domain; empty if it has none yet."""
        if self.member_slug is None:
            return self.dns_label
        return f"{self.dns_label}.{self.member_slug}" if self.dns_label and self.member_slug else ""

    @property
    def addresses(self) -> tuple[IPv4Address, IPv6Address]:
        """Its tunnel addresses."""
        return self.instance.host_addresses(self.host)

    @property
    def ends_at(self) -> datetime | None:
        """When its hub ends it."""
        return ends_at(self.expires_at, self.unused_until)

    @property
    def is_admitted(self) -> bool:
        """Should the hub admit it?"""
        return is_admitted(
            timezone.now(),
            enabled=self.enabled,
            ends_at=self.ends_at,
            member_state=self.member_state,
            is_active=self.user_is_active,
        )

    @property
    def is_connected(self) -> bool:
        """Is it connected, in a recent observation of the hub?"""
        return (
            self.instance.seen.is_recent
            and self.is_admitted
            and has_tunnel(
                timezone.now(),
                is_openvpn=self.is_openvpn,
                last_handshake=self.last_handshake,
                connected_from=self.connected_from,
            )
        )

    @property
    def is_reconnecting(self) -> bool:
        """Is its OpenVPN session about to reconnect?"""
        return self.is_openvpn and self.push_generation is not None and self.is_connected


def listed(peers: PeerQuerySet, ids: Sequence[UUID], instance: Instance) -> list[ListedPeer]:
    """Those of an instance's peers that have these ids, in this order; one query."""
    rows = peers.order_by().filter(pk__in=ids).values_list(*_COLUMNS)
    found = {row[0]: ListedPeer.of(row, instance) for row in rows}
    return [found[pk] for pk in ids if pk in found]
