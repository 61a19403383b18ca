"""The shapes of specs and deltas as they travel, in JSON."""

from __future__ import annotations

from typing import TypedDict


class WireGuardPeerDocument(TypedDict):
    """A peer in JSON. `preshared_key` may be null; `routes` are those `allowed_ips` that need a route."""

    public_key: str
    preshared_key: str | None
    allowed_ips: list[str]
    routes: list[str]


class OpenVPNPeerDocument(TypedDict):
    """A peer that comes over OpenVPN, in JSON.

    `protocol` is `openvpn`, `common_name` the peer's id; `route_all` sends all of its traffic through the hub; `compat`
    lets it in through the compatibility listener, and only there.
    """

    protocol: str
    common_name: str
    addresses: list[str]
    routes: list[str]
    route_all: bool
    compat: bool


PeerDocument = WireGuardPeerDocument | OpenVPNPeerDocument


class WireGuardDocument(TypedDict):
    """The hub's own side of WireGuard in JSON."""

    port: int
    private_key: str
    mtu: int


class OpenVPNDocument(TypedDict):
    """The hub's own side of OpenVPN in JSON: PEM texts, and the ports of its listeners (`compat_port` may be null)."""

    ca: str
    certificate: str
    private_key: str
    crl: str
    tls_crypt_v2: str
    udp_port: int
    tcp_port: int
    compat_port: int | None


class _RequiredSpecDocument(TypedDict):
    schema: int
    hub: str
    epoch: int
    generation: int
    addresses: list[str]
    wireguard: WireGuardDocument
    peers: dict[str, PeerDocument]
    forwarding: str


class SpecDocument(_RequiredSpecDocument, total=False):
    """A HubSpec in JSON. `pushed_routes` and `dns` are for peers that come over OpenVPN."""

    openvpn: OpenVPNDocument | None
    pushed_routes: list[str]
    dns: list[str]


class BaseDocument(TypedDict):
    """The saved state that a delta starts from."""

    generation: int
    digest: str


class DeltaDocument(TypedDict):
    """A HubDelta in JSON."""

    schema: int
    hub: str
    epoch: int
    generation: int
    base: BaseDocument
    digest: str
    upsert: dict[str, PeerDocument]
    remove: list[str]
