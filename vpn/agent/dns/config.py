"""The files that dnsmasq reads, as text from a checked spec (dnsmasq(8), version 2.90).

    dnsmasq.conf     read at the start only
    servers          which server is asked for which domain; reloaded at SIGHUP without losing a query
    hosts/00 .. ff   names and addresses, each address in the file of its last byte; reloaded when the file changes
    started          the process id, and the digest of the dnsmasq.conf that the process was started with

A new peer therefore changes one file, and a name moves to another address without a restart.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.wire import codes
from vpn.wire.errors import FAILED, INVALID, AgentError
from vpn.wire.intervals import is_single
from vpn.wire.peers import OpenVPNPeer, Peer
from vpn.wire.reserved import IN_GUEST_V4, LINKS_V4
from vpn.wire.resolver import CNAME, NAME, Resolver
from vpn.wire.spec import HubSpec

PORT: Final = 53
BUCKETS: Final = 256
_CACHED: Final = 2000  # answers from upstream servers; the hub's own names are not counted
_RETRY: Final = 300  # milliseconds until the next server is asked
_IN_FLIGHT: Final = 1000  # queries to upstream servers at a time
# Ranges that `stop-dns-rebind` of dnsmasq 2.90 treats as private, as far as they matter here.
_KNOWN_AS_PRIVATE: Final = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"))
)
# Ranges that it does not: shared addresses (RFC 6598), and deprecated or unused private ranges. Sites may use these.
_PRIVATE_FOR_SITES: Final = tuple(map(ipaddress.ip_network, ("100.64.0.0/10", "fc00::/8", "fec0::/10")))
# The links of hubs, and the metadata services of clouds. Not even a server of a split domain may answer with these.
_PRIVATE_FOR_ALL: Final = (LINKS_V4, *IN_GUEST_V4)
# SVCB and HTTPS records contain address hints (RFC 9460), which dnsmasq's rebinding check does not read. They are
# filtered; programs then ask for A and AAAA.
_WITH_HINTS: Final = (64, 65)

# Special-use domains that do not exist in public DNS, so queries for them stay here (IANA's registry of special-use
# domain names, and ICANN's `internal`). Domains for documentation are forwarded (RFC 6761, section 6.5).
SPECIAL_ZONES: Final = (
    "alt",  # RFC 9476
    "home.arpa",  # RFC 8375
    "resolver.arpa",  # RFC 9462
    "service.arpa",  # RFC 9665
    "internal",  # ICANN, resolution 2024.07.29.06
    "invalid",  # RFC 6761
    "local",  # RFC 6762
    "localhost",  # RFC 6761
    "onion",  # RFC 7686
    "test",  # RFC 6761
)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Layout:
    """Where the files of a hub's resolver are."""

    directory: Path

    def checked(self) -> Layout:
        """Return itself if dnsmasq can use the paths, else raise AgentError."""
        if any(sign in str(self.directory) for sign in '\n"#\\') or str(self.directory) != str(self.directory).strip():
            message = "The resolver needs a state directory without quotes and backslashes in its name."
            raise AgentError(FAILED, message, codes.DNS_PATH_UNUSABLE.of())
        return self

    @property
    def config(self) -> Path:
        """The configuration. Its path in the command line identifies the process."""
        return self.directory / "dnsmasq.conf"

    @property
    def servers(self) -> Path:
        """The upstream servers."""
        return self.directory / "servers"

    @property
    def hosts(self) -> Path:
        """The directory of hosts files."""
        return self.directory / "hosts"

    @property
    def started(self) -> Path:
        """The process id and the digest of its configuration."""
        return self.directory / "started"


def configuration(layout: Layout, spec: HubSpec, resolver: Resolver) -> str:
    """Return `dnsmasq.conf`, which is read at the start only."""
    networks = [ipaddress.ip_interface(address).network for address in spec.addresses]
    own = [ipaddress.ip_interface(address).ip for address in spec.addresses]
    lines = [
        "no-resolv",
        "no-hosts",
        "no-poll",
        "no-ident",
        # Bind to addresses, not interfaces: such a socket survives when a tunnel interface is created again.
        "bind-interfaces",
        *(f"listen-address={address}" for address in own),
        f"port={PORT}",
        "pid-file=",
        # dnsmasq would log every answer that the rebinding check drops.
        "log-facility=/dev/null",
        f"cache-size={_CACHED}",
        f"dns-forward-max={_IN_FLIGHT}",
        # The next server is asked before the client's own timeout.
        f"fast-dns-retry={_RETRY}",
        "domain-needed",
        "bogus-priv",
        f"hostsdir={layout.hosts}",
        f"servers-file={layout.servers}",
        *_protection(networks, resolver),
        *(f"local=/{name(zone)}/" for zone in own_zones(spec, resolver)),
        *(f"local=/{zone}/" for zone in _special_zones(resolver)),
        *(f"ptr-record={address.reverse_pointer},{name(resolver.domain)}" for address in own),
    ]
    lines += [f"cname={name(record.name)},{name(record.value)}" for record in resolver.records if record.type == CNAME]
    return _ended(lines)


def servers(spec: HubSpec, resolver: Resolver) -> str:
    """Return which servers are asked for which domains. Queries for the hub's own names are not forwarded."""
    own = own_zones(spec, resolver)
    lines = [f"server={address(server)}" for server in resolver.upstreams]
    lines += [
        f"server=/{name(domain)}/{address(server)}"
        for domain in resolver.domains
        for server in resolver.domain_servers
        if not any(domain == zone or domain.endswith(f".{zone}") for zone in own)
    ]
    return _ended(lines)


def hosts(spec: HubSpec, resolver: Resolver, buckets: Collection[int] = range(BUCKETS)) -> dict[str, str]:
    """Return the hosts files of `buckets` by name. The first name of an address answers its reverse query."""
    lines: dict[int, list[str]] = {bucket: [] for bucket in buckets}
    # Sorted, because the order of peers has no meaning. Records added later may name a peer's address again.
    for peer in spec.peers.values():
        if peer.names:
            names = " ".join(peer_names(peer, resolver))
            for own in addresses(peer):
                if (bucket := bucket_of(own)) in lines and names:
                    lines[bucket].append(f"{own} {names}")
    for texts in lines.values():
        texts.sort()
    for value in resolver.public_addresses:
        _append(lines, value, resolver.domain)
    for record in resolver.records:
        if record.type != CNAME:
            _append(lines, record.value, record.name)
    return {f"{bucket:02x}": _ended(texts) for bucket, texts in lines.items() if texts}


def bucket_of(text: str) -> int:
    """Return the number of an address's file: its last byte, usually equal for both addresses of a peer."""
    # Each new peer calls this for thousands of addresses: this is ten times as fast as parsing them.
    if ":" not in text:
        return int(text.rpartition(".")[2])
    last = text.rpartition(":")[2]
    return (ipaddress.ip_address(text).packed[-1] if "." in last else int(last or "0", 16)) & 0xFF


def addresses(peer: Peer) -> list[str]:
    """Return a peer's own tunnel addresses, without the networks behind it."""
    if isinstance(peer, OpenVPNPeer):
        return [network.partition("/")[0] for network in peer.addresses]
    return [
        network.partition("/")[0] for network in peer.allowed_ips if is_single(network) and network not in peer.routes
    ]


def peer_names(peer: Peer, resolver: Resolver) -> list[str]:
    """Return the full names of a peer; a name longer than DNS allows is left out (RFC 1035)."""
    full = (f"{relative}.{resolver.domain}" for relative in peer.names)
    return [each for each in full if NAME.fullmatch(each)]


def own_zones(spec: HubSpec, resolver: Resolver) -> list[str]:
    """Return the zones that are never forwarded: the hub's own domain, and the reverse zones of its pools."""
    networks = [ipaddress.ip_interface(address).network for address in spec.addresses]
    return [resolver.domain, *dict.fromkeys(zone for network in networks for zone in _reverse_zones(network))]


def digest(text: str) -> str:
    """Return the digest of a configuration."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def name(text: str) -> str:
    """Return a name for a configuration file, validated again."""
    if not NAME.fullmatch(text):
        raise AgentError(INVALID, "The resolver has an invalid name.", codes.DNS_NAME_INVALID.of())
    return text


def address(text: str) -> str:
    """Return an address for a configuration file, validated again."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        message = "The resolver has an invalid address."
        raise AgentError(INVALID, message, codes.DNS_ADDRESS_INVALID.of()) from None


def _append(lines: dict[int, list[str]], value: str, named: str) -> None:
    bucket = ipaddress.ip_address(address(value)).packed[-1]
    if bucket in lines:
        lines[bucket].append(f"{value} {name(named)}")


def _protection(networks: Iterable[_Network], resolver: Resolver) -> list[str]:
    """Return the options against DNS rebinding: foreign names must not resolve to addresses inside the tunnels.

    The servers of split domains may answer with private addresses. `bogus-nxdomain` allows no exception, so it names
    the hub's own pools, where peers have names of the hub's domain. If there are split domains, it names no range
    that a site may use.
    """
    unknown = [network for network in networks if not any(_within(network, known) for known in _KNOWN_AS_PRIVATE)]
    unknown += [*_PRIVATE_FOR_ALL, *(() if resolver.domains else _PRIVATE_FOR_SITES)]
    return [
        "stop-dns-rebind",
        *(f"rebind-domain-ok=/{name(domain)}/" for domain in resolver.domains),
        *(f"bogus-nxdomain={network}" for network in dict.fromkeys(unknown)),
        *(f"filter-rr={number}" for number in _WITH_HINTS),
    ]


def _special_zones(resolver: Resolver) -> list[str]:
    """Return the special-use domains that are not forwarded, without the split domains of the instance."""
    return [zone for zone in SPECIAL_ZONES if zone not in resolver.domains]


def _within(network: _Network, other: _Network) -> bool:
    if network.version != other.version:
        return False
    return network.network_address in other and network.prefixlen >= other.prefixlen


def _reverse_zones(network: _Network) -> list[str]:
    """Return the reverse zones of a network: several if its prefix ends inside a label. RFC 2317 is not used."""
    step = 8 if network.version == 4 else 4
    length = max(step, -(-network.prefixlen // step) * step)
    labels = length // step
    return [
        ".".join(part.network_address.reverse_pointer.split(".")[network.max_prefixlen // step - labels :])
        for part in network.subnets(new_prefix=length)
    ]


def _ended(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
