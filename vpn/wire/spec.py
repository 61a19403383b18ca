"""HubSpec, schema 1: the whole desired state of one hub.

Every field is validated here, so that no value can inject a line or a directive into a configuration later. Accepted
values are canonical and use a known alphabet. All faults are reported at once, and none quotes a key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from vpn.wire import parsing
from vpn.wire.documents import OpenVPNDocument, SpecDocument
from vpn.wire.identity import HUB, MAXIMUM_COUNTER, SCHEMA, check_schema
from vpn.wire.parsing import WIREGUARD_KEY, Faults
from vpn.wire.peers import OpenVPNPeer, Peer, PeerIndex, by_openvpn, parse_peers
from vpn.wire.resolver import MOST_DOMAINS, NAME, Resolver, parse_resolver
from vpn.wire.rules import Rule, parse_rules
from vpn.wire.server_side import NO_SERVER, ServerSide, parse_server
from vpn.wire.trial import Trial, parse_trial

ALLOW: Final = "allow"
DENY: Final = "deny"


_SPEC_FIELDS: Final = frozenset(
    {"schema", "hub", "epoch", "generation", "addresses", "wireguard", "peers", "forwarding"}
)
# Fields of later releases. A spec without them is valid.
_OPTIONAL_FIELDS: Final = frozenset(
    {"openvpn", "pushed_routes", "dns", "search_domains", "rules", "resolver", "server", "trial"}
)
_WIREGUARD_FIELDS: Final = frozenset({"port", "private_key", "mtu"})
_OPENVPN_FIELDS: Final = frozenset(
    {"ca", "certificate", "private_key", "crl", "tls_crypt_v2", "udp_port", "tcp_port", "compat_port"}
)


@dataclass(frozen=True)
class OpenVPN:
    """The hub's OpenVPN settings; of PEM texts, only the format is validated."""

    ca: str
    certificate: str
    private_key: str = field(repr=False)
    crl: str = field(repr=False)
    tls_crypt_v2: str = field(repr=False)
    udp_port: int
    tcp_port: int
    compat_port: int | None

    def document(self) -> OpenVPNDocument:
        """Return it as JSON data."""
        return {
            "ca": self.ca,
            "certificate": self.certificate,
            "private_key": self.private_key,
            "crl": self.crl,
            "tls_crypt_v2": self.tls_crypt_v2,
            "udp_port": self.udp_port,
            "tcp_port": self.tcp_port,
            "compat_port": self.compat_port,
        }


@dataclass(frozen=True)
class HubSpec:
    """The whole desired state of one hub, validated."""

    hub: str
    epoch: int
    generation: int
    addresses: tuple[str, ...]
    port: int
    private_key: str = field(repr=False)
    mtu: int
    peers: dict[str, Peer] = field(repr=False)
    forwarding: str
    openvpn: OpenVPN | None = None
    pushed_routes: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    search_domains: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    resolver: Resolver | None = None
    server: ServerSide = NO_SERVER
    trial: Trial | None = None

    @property
    def version(self) -> tuple[int, int]:
        """Epoch and generation, which order specs. Restoring the database raises the epoch."""
        return self.epoch, self.generation

    def admits(self, peer: OpenVPNPeer) -> bool:
        """Return True if there is a listener for the peer."""
        return self.openvpn is not None and (self.openvpn.compat_port is not None or not peer.compat)

    @property
    def returned(self) -> HubSpec:
        """The spec with the settings before its trial."""
        trial = self.trial
        if trial is None:
            return self
        return replace(
            self,
            forwarding=trial.forwarding,
            rules=trial.rules,
            pushed_routes=trial.pushed_routes,
            server=replace(self.server, networks=trial.networks),
        )

    def document(self) -> SpecDocument:
        """Return the spec as JSON data."""
        document: SpecDocument = {
            "schema": SCHEMA,
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "addresses": list(self.addresses),
            "wireguard": {"port": self.port, "private_key": self.private_key, "mtu": self.mtu},
            "peers": {peer_id: peer.document() for peer_id, peer in self.peers.items()},
            "forwarding": self.forwarding,
        }
        if self.openvpn is not None:
            document["openvpn"] = self.openvpn.document()
        if self.pushed_routes:
            document["pushed_routes"] = list(self.pushed_routes)
        if self.dns:
            document["dns"] = list(self.dns)
        if self.search_domains:
            document["search_domains"] = list(self.search_domains)
        if self.rules:
            document["rules"] = [rule.document() for rule in self.rules]
        if self.resolver is not None:
            document["resolver"] = self.resolver.document()
        if self.server != NO_SERVER:
            document["server"] = self.server.document()
        if self.trial is not None:
            document["trial"] = self.trial.document()
        return document


def parse_spec(document: object) -> HubSpec:
    """Return the spec that `document` (JSON data) describes. Raises AgentError `invalid` with all faults."""
    faults = Faults()
    data = parsing.fields_of(document, "spec", _SPEC_FIELDS, faults, _OPTIONAL_FIELDS)
    if not data:
        faults.raise_if_any("spec")
    check_schema(data, faults)
    wireguard = parsing.fields_of(data.get("wireguard"), "wireguard", _WIREGUARD_FIELDS, faults)
    spec = HubSpec(
        hub=parsing.text(data.get("hub"), "hub", HUB, faults),
        epoch=parsing.number(data.get("epoch"), "epoch", 1, MAXIMUM_COUNTER, faults),
        generation=parsing.number(data.get("generation"), "generation", 1, MAXIMUM_COUNTER, faults),
        addresses=parsing.interfaces(data.get("addresses"), faults),
        port=parsing.number(wireguard.get("port"), "wireguard.port", 1, 65535, faults),
        private_key=parsing.text(wireguard.get("private_key"), "wireguard.private_key", WIREGUARD_KEY, faults),
        mtu=parsing.number(wireguard.get("mtu"), "wireguard.mtu", 1280, 9000, faults),
        peers=parse_peers(data.get("peers"), "peers", faults),
        forwarding=parsing.choice(data.get("forwarding"), "forwarding", (ALLOW, DENY), faults),
        openvpn=_openvpn(data.get("openvpn"), faults),
        pushed_routes=parsing.networks(data.get("pushed_routes", []), "pushed_routes", faults),
        dns=parsing.hosts(data.get("dns", []), "dns", faults),
        search_domains=parsing.texts(data.get("search_domains", []), "search_domains", NAME, MOST_DOMAINS, faults),
        rules=parse_rules(data.get("rules", []), faults),
        resolver=parse_resolver(data.get("resolver"), faults),
        server=parse_server(data.get("server"), faults),
        trial=parse_trial(data.get("trial"), faults),
    )
    _check_openvpn(spec, faults)
    if spec.server.is_within(spec.addresses) or spec.returned.server.is_within(spec.addresses):
        faults.append("server networks lie within the hub's own pool, so its devices would become unreachable")
    PeerIndex.of(spec.addresses, spec.peers, faults.append)
    faults.raise_if_any("spec")
    return spec


def _openvpn(value: object, faults: Faults) -> OpenVPN | None:
    if value is None:
        return None
    data = parsing.fields_of(value, "openvpn", _OPENVPN_FIELDS, faults)
    compat_port = data.get("compat_port")

    def pem(name: str, label: str) -> str:
        return parsing.pem(data.get(name), f"openvpn.{name}", label, faults)

    return OpenVPN(
        ca=pem("ca", "CERTIFICATE"),
        certificate=pem("certificate", "CERTIFICATE"),
        private_key=pem("private_key", "PRIVATE KEY"),
        crl=pem("crl", "X509 CRL"),
        tls_crypt_v2=pem("tls_crypt_v2", "OpenVPN tls-crypt-v2 server key"),
        udp_port=parsing.number(data.get("udp_port"), "openvpn.udp_port", 1, 65535, faults),
        tcp_port=parsing.number(data.get("tcp_port"), "openvpn.tcp_port", 1, 65535, faults),
        compat_port=None
        if compat_port is None
        else parsing.number(compat_port, "openvpn.compat_port", 1, 65535, faults),
    )


def _check_openvpn(spec: HubSpec, faults: Faults) -> None:
    if not all(spec.admits(peer) for peer in by_openvpn(spec.peers.values())):
        faults.append("there are peers over OpenVPN without a listener for them")
    if spec.openvpn is None:
        return
    if spec.openvpn.udp_port == spec.port or spec.openvpn.tcp_port == spec.openvpn.compat_port:
        faults.append("two listeners have the same port")
    if not any("." in address for address in spec.addresses):
        faults.append("openvpn needs an IPv4 address of the hub")
