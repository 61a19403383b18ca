"""Peers: sites and devices on an instance."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from vpn.api.schemas.alias import AliasOut
from vpn.api.schemas.base import Days, Flag, In, Moment, Out, Text
from vpn.choices import KeyCustody, OutdatedReason, PeerType, ProfileState
from vpn.models import Instance, Peer, PeerObservation
from vpn.profiles.router import ProfileFile
from vpn.profiles.state import outdated_reason

if TYPE_CHECKING:  # it imports this module
    from vpn.api.schemas.peer_rows import PeerRow


class PeerCreate(In):
    """A new peer. `site_id`, `subnets`, `confirm_broad_routes` are for a site; `user_id`, `route_all`, `device`,
    `public_key` for a client."""

    type: Literal["client", "site"]
    protocol: Text = Field("wireguard", description="`wireguard` or `openvpn`.")
    site_id: UUID | None = None
    subnets: list[Text] = Field(
        [],
        description="What the site advertises, such as 10.1.0.0/24 or fd10:1::/64; absent: all of the site's subnets.",
    )
    confirm_broad_routes: Flag = Field(
        False,
        description="Needed for anything wider than /8 (IPv6 /32), and where a subnet lies within another peer's or "
        "contains one: the more specific route wins.",
    )
    user_id: UUID | None = None
    route_all: Flag = Field(False, description="Send all traffic through the hub.")
    device: Text = ""
    expires_at: Moment | None = None
    unused_days: Days | None = Field(
        None,
        description="The hub ends it after so many days without use; absent: a client as the organization sets, a site "
        "never.",
    )
    public_key: Text = Field("", description="The public key, if the device made its own key pair.")
    note: Text = Field("", description="Of a site: why, in at most 200 characters; kept with the revision.")


class PeerChange(In):
    """The fields that can be changed; absent fields stay. Every field of a read is accepted unchanged."""

    subnets: list[Text] = []
    confirm_broad_routes: Flag = False
    route_all: Flag = False
    device: Text = ""
    expires_at: Moment | None = None
    unused_days: Days | None = Field(None, description="Another value counts from now on; null: it has no such end.")
    enabled: Flag = True
    protocol: Text = ""
    is_exit: Flag = Field(False, description="Of a site over WireGuard: its router passes on chosen clients' traffic.")
    exit_site_id: UUID | None = Field(
        None, description="Of a client with `route_all`: the site through which it reaches the internet; null: the hub."
    )
    note: Text = Field("", description="Why, in at most 200 characters; kept with the revision. A read has none.")


class PeerOut(Out):
    """One end of one tunnel. The only key in it is the public one."""

    observed: ClassVar[frozenset[str]] = frozenset(
        [
            "connected",
            "connected_from",
            "last_handshake",
            "endpoint",
            "received_bytes",
            "sent_bytes",
            "profile_state",
            "outdated_reason",
            "ends_at",
            "token",
            "token_ttl",
        ]
    )

    id: UUID
    type: PeerType
    user_id: UUID | None
    site_id: UUID | None
    device: str
    subnets: list[str]
    alias: list[AliasOut] = Field(description="Those among `subnets` that stand for a LAN; set on the site.")
    route_all: bool
    is_exit: bool = Field(description="Of a site: clients may choose it as their way to the internet.")
    exit_site_id: UUID | None = Field(description="Of a client: the site through which it reaches the internet.")
    protocol: Literal["wireguard", "openvpn"]
    addresses: list[str]
    public_key: str | None = Field(description="WireGuard's; null for OpenVPN.")
    enabled: bool
    expires_at: datetime | None
    unused_days: int | None
    ends_at: datetime | None = Field(description="The earlier one of `expires_at` and its end without use.")
    connected: bool
    connected_from: datetime | None
    last_handshake: datetime | None
    endpoint: str | None
    received_bytes: int
    sent_bytes: int
    key_custody: KeyCustody
    profile_state: ProfileState
    outdated_reason: OutdatedReason | None = Field(
        description="Why `profile_state` is `outdated`. `changed`: the delivered profile works, but without the "
        "changes made since. `keys-replaced`: it connects nowhere, as the hub has new keys since its server was "
        "compromised."
    )
    created_at: datetime


class PeerWithTokenOut(PeerOut):
    """A peer with its new share token; the token is not shown again."""

    token: str
    token_ttl: int = Field(description="Seconds.")


class FormatOut(Out):
    """A file that a peer can have: `GET /client?format=` fetches it."""

    format: str
    filename: str
    content_type: str

    @classmethod
    def of(cls, file: ProfileFile) -> FormatOut:
        """The description of a file, without its content."""
        return cls(format=file.format, filename=file.filename, content_type=file.content_type)


class TokenOut(Out):
    """A share token: it fetches one profile, once, with `GET /client`."""

    token: str
    token_ttl: int = Field(description="Seconds.")


def show_peer(peer: Peer, profile_state: ProfileState) -> PeerOut:
    """The representation; instance, member and site should be joined."""
    return PeerOut.model_validate(
        values_of(peer, peer.seen, peer.instance, connected=peer.is_connected, profile_state=profile_state)
    )


def values_of(
    peer: Peer | PeerRow,
    seen: PeerObservation | PeerRow,
    instance: Instance,
    *,
    connected: bool,
    profile_state: ProfileState,
) -> dict[str, object]:
    """The fields of PeerOut in their order; `seen` is what was observed of the peer with its present key."""
    return {
        "id": peer.pk,
        "type": peer.type,
        "user_id": peer.member_id,
        "site_id": peer.site_id,
        "device": peer.device,
        "subnets": peer.subnets,
        "alias": [{"lan": str(alias.lan), "subnet": str(alias.subnet)} for alias in peer.aliases],
        "route_all": peer.route_all,
        "is_exit": bool(peer.is_exit),
        "exit_site_id": peer.exit_site_id,
        "protocol": peer.protocol,
        "addresses": list(instance.own_networks(peer.host)),
        "public_key": None if peer.is_openvpn else peer.public_key,
        "enabled": peer.enabled,
        "expires_at": peer.expires_at,
        "unused_days": peer.unused_days,
        "ends_at": peer.ends_at,
        "connected": connected,
        "connected_from": seen.connected_from if connected else None,
        "last_handshake": seen.last_handshake,
        "endpoint": seen.endpoint or None,
        "received_bytes": seen.received_bytes or 0,
        "sent_bytes": seen.sent_bytes or 0,
        "key_custody": peer.key_custody,
        "profile_state": profile_state.value,
        "outdated_reason": outdated_reason(peer.delivered_at, instance.keys_replaced_at, profile_state),
        "created_at": peer.created_at,
    }
