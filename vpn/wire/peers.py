"""The validated peers of a hub: protocol, keys, addresses, and the networks behind them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from vpn.wire import parsing
from vpn.wire.documents import OpenVPNPeerDocument, WireGuardPeerDocument
from vpn.wire.parsing import UUID, WIREGUARD_KEY, Faults
from vpn.wire.resolver import NAME
from vpn.wire.rules import TAG

OPENVPN: Final = "openvpn"

# A peer's part in an exit: the site through which chosen clients reach the internet, or one of these clients.
EXIT_SITE: Final = "site"
EXIT_CLIENT: Final = "client"
EVERYTHING: Final = ("0.0.0.0/0", "::/0")

# The id of the peer that the portal itself uses to test the hub. It reaches only the hub's own addresses.
PROBE: Final = "00000000-0000-0000-0000-000000000000"

_MOST_TAGS: Final = 1000
_MOST_NAMES: Final = 16
_LAST_MOMENT: Final = 2**40  # seconds since 1970
# Fields of later releases. A peer without them is valid.
_OPTIONAL_FIELDS: Final = frozenset({"tags", "names", "expires_at", "former", "exit"})
_WIREGUARD_FIELDS: Final = frozenset({"public_key", "preshared_key", "allowed_ips", "routes"})
_OPENVPN_FIELDS: Final = frozenset({"protocol", "common_name", "addresses", "routes", "route_all", "compat"})
_OPTIONAL_OPENVPN_FIELDS: Final = frozenset({"static_routes"})


@dataclass(frozen=True, slots=True)
class WireGuardPeer:
    """A validated WireGuard peer: networks are canonical, keys are 32 bytes in base64."""

    public_key: str
    preshared_key: str | None = field(repr=False)
    allowed_ips: tuple[str, ...]
    routes: tuple[str, ...]
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    expires_at: int | None = None
    former: OpenVPNPeer | None = None
    exit: str = ""

    @property
    def networks(self) -> tuple[str, ...]:
        """All that is the peer's own: its addresses and the networks behind it."""
        return self.allowed_ips

    @property
    def carried(self) -> tuple[str, ...]:
        """The interface's AllowedIPs for the peer: through an exit come packets of the whole internet."""
        return tuple(dict.fromkeys((*self.allowed_ips, *EVERYTHING))) if self.exit == EXIT_SITE else self.allowed_ips

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its own addresses, without the networks behind it."""
        return tuple(network for network in self.allowed_ips if network not in self.routes)

    def document(self) -> WireGuardPeerDocument:
        """Return the peer as JSON data."""
        document: WireGuardPeerDocument = {
            "public_key": self.public_key,
            "preshared_key": self.preshared_key,
            "allowed_ips": list(self.allowed_ips),
            "routes": list(self.routes),
        }
        _add_optional(document, self)
        return document


@dataclass(frozen=True, slots=True)
class OpenVPNPeer:
    """A validated OpenVPN peer: one IPv4 address, at most one IPv6 address, canonical networks."""

    common_name: str
    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    route_all: bool
    compat: bool
    static_routes: bool = False
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    expires_at: int | None = None
    former: WireGuardPeer | None = None
    exit: str = ""

    @property
    def networks(self) -> tuple[str, ...]:
        """All that is the peer's own: its addresses and the networks behind it."""
        return self.addresses + self.routes

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its own addresses, without the networks behind it."""
        return self.addresses

    def document(self) -> OpenVPNPeerDocument:
        """Return the peer as JSON data."""
        document: OpenVPNPeerDocument = {
            "protocol": OPENVPN,
            "common_name": self.common_name,
            "addresses": list(self.addresses),
            "routes": list(self.routes),
            "route_all": self.route_all,
            "compat": self.compat,
        }
        if self.static_routes:
            document["static_routes"] = True
        _add_optional(document, self)
        return document


Peer = WireGuardPeer | OpenVPNPeer


def _add_optional(document: WireGuardPeerDocument | OpenVPNPeerDocument, peer: Peer) -> None:
    # Empty fields are left out, so that portal and agent compute the same digest.
    if peer.tags:
        document["tags"] = list(peer.tags)
    if peer.names:
        document["names"] = list(peer.names)
    if peer.expires_at is not None:
        document["expires_at"] = peer.expires_at
    if peer.former is not None:
        document["former"] = peer.former.document()
    if peer.exit:
        document["exit"] = peer.exit


class PeerIndex:
    """Index of peers by key and network, to validate a delta without reading the other peers."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.networks: dict[str, str] = {}
        self.exits: set[str] = set()

    @classmethod
    def of(
        cls, addresses: Iterable[str], peers: Mapping[str, Peer], fault: Callable[[str], None] | None = None
    ) -> PeerIndex:
        """Return the index of a hub's `addresses` and `peers`; `fault` is called for each conflict."""
        index = cls()
        for address in addresses:
            index.networks[str(ipaddress.ip_network(ipaddress.ip_interface(address).ip))] = "the hub"
        for peer_id, peer in peers.items():
            for clash in index.add(peer_id, peer):
                if fault is not None:
                    fault(clash)
        return index

    def add(self, peer_id: str, peer: Peer) -> list[str]:
        """Add a peer and return its conflicts with others."""
        clashes = []
        for wireguard in by_wireguard([peer]):
            other = self.keys.setdefault(wireguard.public_key, peer_id)
            if other != peer_id:
                clashes.append(f"peers {other} and {peer_id} have the same public key")
        for network in peer.networks:
            other = self.networks.setdefault(network, peer_id)
            if other != peer_id:
                clashes.append(f"{network} belongs to {other} and {peer_id}")
        if peer.exit == EXIT_SITE:
            # WireGuard gives the whole internet to one peer of an interface.
            clashes += [f"{other} and {peer_id} are both the exit" for other in self.exits - {peer_id}]
            self.exits.add(peer_id)
        return clashes

    def discard(self, peer_id: str, peer: Peer) -> None:
        """Remove a peer."""
        self.exits.discard(peer_id)
        for wireguard in by_wireguard([peer]):
            if self.keys.get(wireguard.public_key) == peer_id:
                del self.keys[wireguard.public_key]
        for network in peer.networks:
            if self.networks.get(network) == peer_id:
                del self.networks[network]


def wireguard_side(peer: Peer | None) -> WireGuardPeer | None:
    """Return a peer's WireGuard configuration, current or former; None if it has none."""
    if peer is None or isinstance(peer, WireGuardPeer):
        return peer
    return peer.former


def openvpn_side(peer: Peer | None) -> OpenVPNPeer | None:
    """Return a peer's OpenVPN configuration, current or former; None if it has none."""
    if peer is None or isinstance(peer, OpenVPNPeer):
        return peer
    return peer.former


def by_wireguard(peers: Iterable[Peer]) -> list[WireGuardPeer]:
    """Return the WireGuard configurations of peers, current or former."""
    return [side for peer in peers if (side := wireguard_side(peer)) is not None]


def by_openvpn(peers: Iterable[Peer]) -> list[OpenVPNPeer]:
    """Return the OpenVPN configurations of peers, current or former."""
    return [side for peer in peers if (side := openvpn_side(peer)) is not None]


def uses_exit(peers: Iterable[Peer]) -> bool:
    """Return True if one of these peers is an exit, or reaches the internet through one."""
    return any(peer.exit for peer in peers)


def parse_peers(value: object, name: str, faults: Faults) -> dict[str, Peer]:
    """Return the peers that `value` (JSON data) describes, by id; adds to `faults`."""
    if not isinstance(value, dict):
        faults.append(f"{name} is not an object")
        return {}
    peers: dict[str, Peer] = {}
    for peer_id, document in value.items():
        if not isinstance(peer_id, str) or not UUID.fullmatch(peer_id):
            faults.append(f"{name} has an id that is not a UUID")
        else:
            peers[peer_id] = _with_former(_peer(peer_id, document, faults, _OPTIONAL_FIELDS), document, faults)
    return peers


def _peer(peer_id: str, document: object, faults: Faults, optional: frozenset[str]) -> tuple[str, Peer]:
    if isinstance(document, dict) and "protocol" in document:
        return peer_id, _openvpn_peer(peer_id, document, faults, optional)
    return peer_id, _wireguard_peer(peer_id, document, faults, optional)


def _with_former(found: tuple[str, Peer], document: object, faults: Faults) -> Peer:
    """Return a peer with its former configuration, if it switches protocol."""
    peer_id, peer = found
    if not isinstance(document, dict) or document.get("former") is None:
        return peer
    _, former = _peer(peer_id, document["former"], faults, frozenset())
    if set(former.networks) != set(peer.networks):
        faults.append(f"peer {peer_id} has other networks in its former protocol")
    if isinstance(peer, WireGuardPeer) and isinstance(former, OpenVPNPeer):
        return replace(peer, former=former)
    if isinstance(peer, OpenVPNPeer) and isinstance(former, WireGuardPeer):
        return replace(peer, former=former)
    faults.append(f"peer {peer_id} has the same protocol as former")
    return peer


def _wireguard_peer(peer_id: str, document: object, faults: Faults, optional: frozenset[str]) -> WireGuardPeer:
    where = f"peer {peer_id}"
    data = parsing.fields_of(document, where, _WIREGUARD_FIELDS, faults, optional)
    preshared_key = data.get("preshared_key")
    peer = WireGuardPeer(
        public_key=parsing.text(data.get("public_key"), f"{where} public_key", WIREGUARD_KEY, faults),
        preshared_key=None
        if preshared_key is None
        else parsing.text(preshared_key, f"{where} preshared_key", WIREGUARD_KEY, faults),
        allowed_ips=parsing.networks(data.get("allowed_ips"), f"{where} allowed_ips", faults),
        routes=parsing.networks(data.get("routes"), f"{where} routes", faults),
        tags=parsing.texts(data.get("tags", []), f"{where} tags", TAG, _MOST_TAGS, faults),
        names=parsing.texts(data.get("names", []), f"{where} names", NAME, _MOST_NAMES, faults),
        expires_at=_moment(data.get("expires_at"), f"{where} expires_at", faults),
        exit=_exit(data, where, (EXIT_SITE, EXIT_CLIENT), faults),
    )
    if not set(peer.routes) <= set(peer.allowed_ips):
        faults.append(f"{where} has routes that are not in its allowed_ips")
    return peer


def _openvpn_peer(peer_id: str, document: object, faults: Faults, optional: frozenset[str]) -> OpenVPNPeer:
    where = f"peer {peer_id}"
    data = parsing.fields_of(document, where, _OPENVPN_FIELDS, faults, optional | _OPTIONAL_OPENVPN_FIELDS)
    parsing.choice(data.get("protocol"), f"{where} protocol", (OPENVPN,), faults)
    if data.get("common_name") != peer_id:
        faults.append(f"{where} has a common_name that is not its id")
    peer = OpenVPNPeer(
        common_name=peer_id,
        addresses=parsing.networks(data.get("addresses"), f"{where} addresses", faults),
        routes=parsing.networks(data.get("routes"), f"{where} routes", faults),
        route_all=parsing.flag(data.get("route_all"), f"{where} route_all", faults),
        compat=parsing.flag(data.get("compat"), f"{where} compat", faults),
        static_routes=parsing.flag(data.get("static_routes", False), f"{where} static_routes", faults),
        tags=parsing.texts(data.get("tags", []), f"{where} tags", TAG, _MOST_TAGS, faults),
        names=parsing.texts(data.get("names", []), f"{where} names", NAME, _MOST_NAMES, faults),
        expires_at=_moment(data.get("expires_at"), f"{where} expires_at", faults),
        # WireGuard alone can tell which peer owns the rest of the internet.
        exit=_exit(data, where, (EXIT_CLIENT,), faults),
    )
    addresses = [ipaddress.ip_network(address) for address in peer.addresses]
    lengths = [(network.version, network.prefixlen) for network in addresses]
    if sorted(lengths) not in ([(4, 32)], [(4, 32), (6, 128)]):
        faults.append(f"{where} addresses are not one IPv4 address and at most one IPv6 address")
    if set(peer.routes) & set(peer.addresses):
        faults.append(f"{where} has its own addresses as routes")
    return peer


def _exit(data: Mapping[str, object], where: str, allowed: tuple[str, ...], faults: Faults) -> str:
    return parsing.choice(data["exit"], f"{where} exit", allowed, faults) if "exit" in data else ""


def _moment(value: object, name: str, faults: Faults) -> int | None:
    return None if value is None else parsing.number(value, name, 1, _LAST_MOMENT, faults)
