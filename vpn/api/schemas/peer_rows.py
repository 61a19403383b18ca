"""Peers in lists: from the columns of a row to its representation, without a model instance for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.utils import timezone

from vpn.addressing.aliases import Alias, aliases_among
from vpn.api.schemas.peer import values_of
from vpn.choices import ProfileState, Protocol
from vpn.models import Instance
from vpn.models.connection import ends_at, has_tunnel, is_admitted


class RouterRow(NamedTuple):
    """The router of a site."""

    platform: str
    platform_version: str
    alias: list[str] | None


class PeerRow(NamedTuple):
    """The columns that the list of peers shows, and those that its profile and its connection depend on."""

    created_at: datetime
    pk: UUID
    type: str
    protocol: str
    member_id: UUID | None
    site_id: UUID | None
    device: str
    subnets: list[str]
    route_all: bool
    is_exit: bool | None
    exit_site_id: UUID | None
    host: int
    public_key: str
    enabled: bool
    expires_at: datetime | None
    unused_days: int | None
    unused_until: datetime | None
    key_custody: str
    delivered_digest: str
    delivered_host: str
    delivered_at: datetime | None
    member_state: str | None
    member_is_active: bool | None
    platform: str | None
    platform_version: str | None
    site_alias: list[str] | None
    seen_key: str | None
    last_handshake: datetime | None
    connected_from: datetime | None
    endpoint: str | None
    received_bytes: int | None
    sent_bytes: int | None

    @property
    def ends_at(self) -> datetime | None:
        """When its hub ends it; as Peer.ends_at."""
        return ends_at(self.expires_at, self.unused_until)

    @property
    def is_openvpn(self) -> bool:
        """Does this peer connect over OpenVPN?"""
        return self.protocol == Protocol.OPENVPN

    @property
    def aliases(self) -> tuple[Alias, ...]:
        """As Peer.aliases."""
        return aliases_among(self.subnets, self.site_alias) if self.site_alias else ()

    @property
    def router(self) -> RouterRow | None:
        """A site's router, on which its profile depends."""
        if self.platform is None or self.platform_version is None:
            return None
        return RouterRow(self.platform, self.platform_version, self.site_alias)


_PATHS: Final = {
    "member_state": "member__state",
    "member_is_active": "member__user__is_active",
    "platform": "site__platform",
    "platform_version": "site__platform_version",
    "site_alias": "site__alias",
    "seen_key": "observation__public_key",
} | {
    name: f"observation__{name}"
    for name in ("last_handshake", "connected_from", "endpoint", "received_bytes", "sent_bytes")
}
# The query's columns, in the order of PeerRow.
COLUMNS: Final = tuple(_PATHS.get(name, name) for name in PeerRow._fields)


def show_rows(
    instance: Instance, rows: Iterable[PeerRow], states: dict[UUID, ProfileState]
) -> Iterator[dict[str, object]]:
    """What `show_peer` says of each peer, with the fields of PeerOut in their order."""
    now = timezone.now()
    is_recent = instance.seen.is_recent
    for row in rows:
        # As Peer.seen: an observation belongs to a key. If the key was replaced since, only the bytes count.
        seen = (
            row
            if row.seen_key == row.public_key
            else row._replace(last_handshake=None, connected_from=None, endpoint=None)
        )
        connected = is_recent and _is_admitted(row, now) and _has_tunnel(seen, now)
        yield values_of(row, seen, instance, connected=connected, profile_state=states[row.pk])


def _is_admitted(row: PeerRow, now: datetime) -> bool:
    return is_admitted(
        now,
        enabled=row.enabled,
        ends_at=row.ends_at,
        member_state=row.member_state,
        is_active=row.member_is_active,
    )


def _has_tunnel(seen: PeerRow, now: datetime) -> bool:
    return has_tunnel(
        now, is_openvpn=seen.is_openvpn, last_handshake=seen.last_handshake, connected_from=seen.connected_from
    )
