"""JSON types of specs and deltas."""

from __future__ import annotations

from typing import TypedDict


class _AnyPeerDocument(TypedDict, total=False):
    """Optional fields of every peer.

    `tags`: for firewall rules. `names`: below the hub's domain. `expires_at` (Unix time): no access from then on.
    `former`: its configuration before a protocol switch, valid until it connects over the new protocol. `exit`: `site`
    for the site that carries the internet traffic of clients with `client`.
    """

    tags: list[str]
    names: list[str]
    expires_at: int
    former: WireGuardPeerDocument | OpenVPNPeerDocument
    exit: str


class _RequiredWireGuardPeerDocument(TypedDict):
    public_key: str
    preshared_key: str | None
    allowed_ips: list[str]
    routes: list[str]


class WireGuardPeerDocument(_RequiredWireGuardPeerDocument, _AnyPeerDocument):
    """A WireGuard peer in JSON. `preshared_key` may be null; `routes` are the `allowed_ips` that need a route."""


class _RequiredOpenVPNPeerDocument(TypedDict):
    protocol: str
    common_name: str
    addresses: list[str]
    routes: list[str]
    route_all: bool
    compat: bool


class _OptionalOpenVPNPeerDocument(TypedDict, total=False):
    static_routes: bool


class OpenVPNPeerDocument(_RequiredOpenVPNPeerDocument, _OptionalOpenVPNPeerDocument, _AnyPeerDocument):
    """An OpenVPN peer in JSON.

    `protocol` is `openvpn`, `common_name` the peer's id. `route_all`: all of its traffic goes through the hub.
    `compat`: it may use the compatibility listener, and no other. `static_routes`: its own configuration contains the
    routes, and none are pushed.
    """


PeerDocument = WireGuardPeerDocument | OpenVPNPeerDocument


class WireGuardDocument(TypedDict):
    """The hub's WireGuard settings in JSON."""

    port: int
    private_key: str
    mtu: int


class OpenVPNDocument(TypedDict):
    """The hub's OpenVPN settings in JSON: PEM texts, and the ports of listeners (`compat_port` may be null)."""

    ca: str
    certificate: str
    private_key: str
    crl: str
    tls_crypt_v2: str
    udp_port: int
    tcp_port: int
    compat_port: int | None


class ServerDocument(TypedDict):
    """The hub's server in JSON: its public addresses, the opened networks behind it, and the portal's port."""

    addresses: list[str]
    networks: list[str]
    portal_port: int | None


class RuleDocument(TypedDict):
    """A firewall rule in JSON: `ports` are the first and the last port, or null for all."""

    id: str
    action: str
    protocol: str
    ports: list[int] | None
    source: str
    destination: str


class RecordDocument(TypedDict):
    """A DNS record in JSON."""

    name: str
    type: str
    value: str


class ResolverDocument(TypedDict):
    """The hub's resolver in JSON."""

    domain: str
    public_addresses: list[str]
    upstreams: list[str]
    domains: list[str]
    domain_servers: list[str]
    records: list[RecordDocument]


class FormerDocument(TypedDict):
    """The settings before a change on trial, in JSON."""

    forwarding: str
    rules: list[RuleDocument]
    pushed_routes: list[str]
    networks: list[str]


class TrialDocument(TypedDict):
    """A trial in JSON: the hub has the `former` settings again after `seconds` without a confirmation."""

    id: str
    seconds: int
    former: FormerDocument


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
    """A HubSpec in JSON. `pushed_routes`, `dns` and `search_domains` are pushed to OpenVPN peers."""

    openvpn: OpenVPNDocument | None
    pushed_routes: list[str]
    dns: list[str]
    search_domains: list[str]
    rules: list[RuleDocument]
    resolver: ResolverDocument | None
    server: ServerDocument | None
    trial: TrialDocument | None


class BaseDocument(TypedDict):
    """The saved state that a delta starts from."""

    generation: int
    digest: str


class _RequiredDeltaDocument(TypedDict):
    schema: int
    hub: str
    epoch: int
    generation: int
    base: BaseDocument
    digest: str
    upsert: dict[str, PeerDocument]
    remove: list[str]


class DeltaDocument(_RequiredDeltaDocument, total=False):
    """A HubDelta in JSON; it contains `crl`, `rules` and `forwarding` only if they change."""

    crl: str
    rules: list[RuleDocument]
    forwarding: str
