"""HubSpec, schema 1: the whole desired state of one hub, and HubDelta, a small change to it.

Everything is checked on the way in, so that no value can become a line or a directive of something else later: what
passes here is in its canonical form, made of a known alphabet. All faults are reported at once, never quoting a key.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from vpn.agent.errors import INVALID, AgentError

SCHEMA: Final = 1
ALLOW: Final = "allow"
DENY: Final = "deny"

LINKS_V4: Final = ipaddress.IPv4Network("198.18.0.0/15")
LINKS_V6: Final = ipaddress.IPv6Network("fdba:5e11::/32")

# No tunnel has business with these: "this" network, loopback, link-local and metadata, the hub's own links, multicast,
# reserved and broadcast (RFC 6890); a wider network that covers them (0.0.0.0/0) is fine, the firewall cuts them out.
RESERVED_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", str(LINKS_V4), "224.0.0.0/4", "240.0.0.0/4")
)
RESERVED_V6: Final = tuple(
    ipaddress.IPv6Network(network) for network in ("::/8", "fe80::/10", str(LINKS_V6), "ff00::/8")
)


def _starts(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> tuple[tuple[int, int, int], ...]:
    """Return the leading bits of networks, how far to shift an address to see its own, and their number."""
    starts = []
    for network in networks:
        shift = network.max_prefixlen - network.prefixlen
        starts.append((int(network.network_address) >> shift, shift, network.prefixlen))
    return tuple(starts)


_RESERVED_V4: Final = _starts(RESERVED_V4)
_RESERVED_V6: Final = _starts(RESERVED_V6)

_HUB: Final = re.compile(r"[a-z][a-z0-9]{9}")
_PEER: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# 32 bytes in base64: the last character before the padding carries four bits.
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MODULUS: Final = 2**256
_MAXIMUM_COUNTER: Final = 2**62

_SPEC_FIELDS: Final = frozenset(
    {"schema", "hub", "epoch", "generation", "addresses", "wireguard", "peers", "forwarding"}
)
_WIREGUARD_FIELDS: Final = frozenset({"port", "private_key", "mtu"})
_PEER_FIELDS: Final = frozenset({"public_key", "preshared_key", "allowed_ips", "routes"})
_DELTA_FIELDS: Final = frozenset({"schema", "hub", "epoch", "generation", "base", "digest", "upsert", "remove"})
_NOT_IN_HEADER: Final = frozenset({"peers", "generation", "epoch"})


class PeerDocument(TypedDict):
    """A peer in JSON. `preshared_key` may be null; `routes` are those `allowed_ips` that need a route."""

    public_key: str
    preshared_key: str | None
    allowed_ips: list[str]
    routes: list[str]


class WireGuardDocument(TypedDict):
    """The hub's own side of WireGuard in JSON."""

    port: int
    private_key: str
    mtu: int


class SpecDocument(TypedDict):
    """A HubSpec in JSON."""

    schema: int
    hub: str
    epoch: int
    generation: int
    addresses: list[str]
    wireguard: WireGuardDocument
    peers: dict[str, PeerDocument]
    forwarding: str


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


@dataclass(frozen=True)
class Peer:
    """One peer, checked: networks are canonical, keys are 32 bytes in base64."""

    public_key: str
    preshared_key: str | None = field(repr=False)
    allowed_ips: tuple[str, ...]
    routes: tuple[str, ...]

    def document(self) -> PeerDocument:
        """Return the peer as JSON data."""
        return {
            "public_key": self.public_key,
            "preshared_key": self.preshared_key,
            "allowed_ips": list(self.allowed_ips),
            "routes": list(self.routes),
        }


@dataclass(frozen=True)
class HubSpec:
    """The whole desired state of one hub, checked."""

    hub: str
    epoch: int
    generation: int
    addresses: tuple[str, ...]
    port: int
    private_key: str = field(repr=False)
    mtu: int
    peers: dict[str, Peer] = field(repr=False)
    forwarding: str

    @property
    def version(self) -> tuple[int, int]:
        """The order of specs: a restored database raises the epoch."""
        return self.epoch, self.generation

    def document(self) -> SpecDocument:
        """Return the spec as JSON data."""
        return {
            "schema": SCHEMA,
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "addresses": list(self.addresses),
            "wireguard": {"port": self.port, "private_key": self.private_key, "mtu": self.mtu},
            "peers": {peer_id: peer.document() for peer_id, peer in self.peers.items()},
            "forwarding": self.forwarding,
        }


@dataclass(frozen=True)
class HubDelta:
    """A small change to the spec that an agent has saved, checked by itself (not yet against that spec)."""

    hub: str
    epoch: int
    generation: int
    base_generation: int
    base_digest: str
    digest: str
    upsert: dict[str, Peer] = field(repr=False)
    remove: tuple[str, ...] = field(repr=False)

    @property
    def version(self) -> tuple[int, int]:
        """The order of deltas and specs."""
        return self.epoch, self.generation

    def document(self) -> DeltaDocument:
        """Return the delta as JSON data."""
        return {
            "schema": SCHEMA,
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "base": {"generation": self.base_generation, "digest": self.base_digest},
            "digest": self.digest,
            "upsert": {peer_id: peer.document() for peer_id, peer in self.upsert.items()},
            "remove": list(self.remove),
        }


# Digests. The sum over the peers lets a delta name its target without anybody reading the other peers.


def canonical(document: object) -> bytes:
    """Return JSON data in the one form that digests are made of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def header_digest(spec: Mapping[str, Any]) -> str:
    """Return the digest (hex SHA-256) of a spec document without its peers, epoch and generation."""
    return hashlib.sha256(canonical({key: spec[key] for key in spec if key not in _NOT_IN_HEADER})).hexdigest()


def peer_digest(peer_id: str, peer: Mapping[str, Any]) -> int:
    """Return the digest of one peer document as a number below 2**256."""
    return int.from_bytes(hashlib.sha256(canonical([peer_id, peer])).digest(), "big")


def peers_total(peers: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the sum of the digests of peer documents (by id), modulo 2**256."""
    return sum(peer_digest(peer_id, peer) for peer_id, peer in peers.items()) % _MODULUS


def changed_total(total: int, removed: Iterable[int], added: Iterable[int]) -> int:
    """Return `total` with the peer digests `removed` taken out and `added` put in."""
    return (total - sum(removed) + sum(added)) % _MODULUS


def spec_digest(header: str, total: int) -> str:
    """Return the digest (hex SHA-256) of a spec from the digest of its header and the total of its peers."""
    return hashlib.sha256(canonical([header, f"{total:064x}"])).hexdigest()


def digest(spec: Mapping[str, Any]) -> str:
    """Return the digest of a whole spec document."""
    return spec_digest(header_digest(spec), peers_total(spec["peers"]))


# Validation.


class _Faults(list[str]):
    """What is wrong with a document, all of it, shortened in the end."""

    def raise_if_any(self, what: str) -> None:
        if self:
            more = f" (and {len(self) - 10} more)" if len(self) > 10 else ""
            raise AgentError(INVALID, f"The {what} is not valid: {'; '.join(self[:10])}{more}.")


def parse_spec(document: object) -> HubSpec:
    """Return the spec that `document` (JSON data) describes. Raises AgentError `invalid` that names every fault."""
    faults = _Faults()
    data = _object(document, "spec", _SPEC_FIELDS, faults)
    if not data:
        faults.raise_if_any("spec")
    _schema(data, faults)
    wireguard = _object(data.get("wireguard"), "wireguard", _WIREGUARD_FIELDS, faults)
    spec = HubSpec(
        hub=_text(data.get("hub"), "hub", _HUB, faults),
        epoch=_number(data.get("epoch"), "epoch", 1, _MAXIMUM_COUNTER, faults),
        generation=_number(data.get("generation"), "generation", 1, _MAXIMUM_COUNTER, faults),
        addresses=_addresses(data.get("addresses"), faults),
        port=_number(wireguard.get("port"), "wireguard.port", 1, 65535, faults),
        private_key=_text(wireguard.get("private_key"), "wireguard.private_key", _KEY, faults),
        mtu=_number(wireguard.get("mtu"), "wireguard.mtu", 1280, 9000, faults),
        peers=_peers(data.get("peers"), "peers", faults),
        forwarding=_choice(data.get("forwarding"), "forwarding", (ALLOW, DENY), faults),
    )
    PeerIndex.of(spec, faults.append)
    faults.raise_if_any("spec")
    return spec


def parse_delta(document: object) -> HubDelta:
    """Return the delta that `document` (JSON data) describes. Raises AgentError `invalid` that names every fault."""
    faults = _Faults()
    data = _object(document, "delta", _DELTA_FIELDS, faults)
    if not data:
        faults.raise_if_any("delta")
    _schema(data, faults)
    base = _object(data.get("base"), "base", frozenset({"generation", "digest"}), faults)
    remove = data.get("remove")
    if not isinstance(remove, list) or not all(isinstance(item, str) and _PEER.fullmatch(item) for item in remove):
        faults.append("remove is a list of peer ids")
        remove = []
    delta = HubDelta(
        hub=_text(data.get("hub"), "hub", _HUB, faults),
        epoch=_number(data.get("epoch"), "epoch", 1, _MAXIMUM_COUNTER, faults),
        generation=_number(data.get("generation"), "generation", 1, _MAXIMUM_COUNTER, faults),
        base_generation=_number(base.get("generation"), "base.generation", 1, _MAXIMUM_COUNTER, faults),
        base_digest=_text(base.get("digest"), "base.digest", _DIGEST, faults),
        digest=_text(data.get("digest"), "digest", _DIGEST, faults),
        upsert=_peers(data.get("upsert"), "upsert", faults),
        remove=tuple(dict.fromkeys(remove)),
    )
    if delta.upsert.keys() & set(delta.remove):
        faults.append("a peer is in upsert and in remove")
    faults.raise_if_any("delta")
    return delta


def parse_hub(value: object) -> str:
    """Return `value` when it can be a hub's name. Raises AgentError `invalid`."""
    faults = _Faults()
    hub = _text(value, "hub", _HUB, faults)
    faults.raise_if_any("request")
    return hub


def parse_version(epoch: object, generation: object) -> tuple[int, int]:
    """Return epoch and generation when they can be. Raises AgentError `invalid`."""
    faults = _Faults()
    version = (
        _number(epoch, "epoch", 1, _MAXIMUM_COUNTER, faults),
        _number(generation, "generation", 1, _MAXIMUM_COUNTER, faults),
    )
    faults.raise_if_any("request")
    return version


class PeerIndex:
    """Which peer has which key and which network, to check a delta without reading the other peers."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.networks: dict[str, str] = {}

    @classmethod
    def of(cls, spec: HubSpec, fault: Callable[[str], None] | None = None) -> PeerIndex:
        """Return the index of a spec's peers; `fault` is told about each clash."""
        index = cls()
        for address in spec.addresses:
            index.networks[str(ipaddress.ip_network(ipaddress.ip_interface(address).ip))] = "the hub"
        for peer_id, peer in spec.peers.items():
            for clash in index.add(peer_id, peer):
                if fault is not None:
                    fault(clash)
        return index

    def add(self, peer_id: str, peer: Peer) -> list[str]:
        """Put a peer in and return what it clashes with."""
        clashes = []
        other = self.keys.setdefault(peer.public_key, peer_id)
        if other != peer_id:
            clashes.append(f"peers {other} and {peer_id} have the same public key")
        for network in peer.allowed_ips:
            other = self.networks.setdefault(network, peer_id)
            if other != peer_id:
                clashes.append(f"{network} belongs to {other} and {peer_id}")
        return clashes

    def discard(self, peer_id: str, peer: Peer) -> None:
        """Take a peer out."""
        if self.keys.get(peer.public_key) == peer_id:
            del self.keys[peer.public_key]
        for network in peer.allowed_ips:
            if self.networks.get(network) == peer_id:
                del self.networks[network]


def _schema(data: Mapping[str, Any], faults: _Faults) -> None:
    if data.get("schema") != SCHEMA or isinstance(data.get("schema"), bool):
        faults.append(f"schema is not {SCHEMA}: the agent and the portal are of different versions")


def _object(value: object, name: str, fields: frozenset[str], faults: _Faults) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.append(f"{name} is not an object")
        return {}
    if unknown := len(value.keys() - fields):
        faults.append(f"{name} has {unknown} unknown fields")
    faults.extend(f"{name} lacks {missing}" for missing in sorted(fields - value.keys()))
    return value


def _text(value: object, name: str, pattern: re.Pattern[str], faults: _Faults) -> str:
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    faults.append(f"{name} is malformed")
    return ""


def _number(value: object, name: str, lowest: int, highest: int, faults: _Faults) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
        return value
    faults.append(f"{name} is not a whole number from {lowest} to {highest}")
    return 0


def _choice(value: object, name: str, choices: tuple[str, ...], faults: _Faults) -> str:
    if isinstance(value, str) and value in choices:
        return value
    faults.append(f"{name} is none of {', '.join(choices)}")
    return ""


def _addresses(value: object, faults: _Faults) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 8:
        faults.append("addresses is not a list of one to eight addresses")
        return ()
    good = [item for item in value if isinstance(item, str) and _is_interface(item)]
    if len(good) != len(value) or len(set(good)) != len(good):
        faults.append("addresses holds something that is no canonical address with its prefix, or is reserved")
    return tuple(good)


def _is_interface(text: str) -> bool:
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return False
    if "%" in text or interface.with_prefixlen != text:
        return False
    return not _reserved(interface.network) and interface.network.prefixlen > 0


def _peers(value: object, name: str, faults: _Faults) -> dict[str, Peer]:
    if not isinstance(value, dict):
        faults.append(f"{name} is not an object")
        return {}
    peers = {}
    for peer_id, document in value.items():
        if not isinstance(peer_id, str) or not _PEER.fullmatch(peer_id):
            faults.append(f"{name} has an id that is no UUID")
            continue
        where = f"peer {peer_id}"
        data = _object(document, where, _PEER_FIELDS, faults)
        preshared_key = data.get("preshared_key")
        peer = Peer(
            public_key=_text(data.get("public_key"), f"{where} public_key", _KEY, faults),
            preshared_key=None
            if preshared_key is None
            else _text(preshared_key, f"{where} preshared_key", _KEY, faults),
            allowed_ips=_networks(data.get("allowed_ips"), f"{where} allowed_ips", faults),
            routes=_networks(data.get("routes"), f"{where} routes", faults),
        )
        if not set(peer.routes) <= set(peer.allowed_ips):
            faults.append(f"{where} has routes that are not in its allowed_ips")
        peers[peer_id] = peer
    return peers


def _networks(value: object, name: str, faults: _Faults) -> tuple[str, ...]:
    if not isinstance(value, list):
        faults.append(f"{name} is not a list")
        return ()
    good = [item for item in value if isinstance(item, str) and _is_network(item)]
    if len(good) != len(value) or len(set(good)) != len(good):
        faults.append(f"{name} holds something that is no canonical network outside the reserved ranges")
    return tuple(good)


def _is_network(text: str) -> bool:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return False
    return str(network) == text and "%" not in text and not _reserved(network)


def _reserved(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    # Thousands of networks are looked at for one hub: numbers are an order of magnitude faster than `subnet_of`.
    first, length = int(network.network_address), network.prefixlen
    return any(
        length >= prefix and first >> shift == start
        for start, shift, prefix in (_RESERVED_V4 if network.version == 4 else _RESERVED_V6)
    )
