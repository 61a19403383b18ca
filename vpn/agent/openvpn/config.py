"""What openvpn reads: pure text from a checked spec (openvpn(8), version 2.6).

    ca.pem certificate.pem private_key.pem crl.pem tls_crypt_v2.pem
    udp.conf tcp.conf compat.conf    one listener each
    run/                             the listeners' own: .sock, .pid and .log of each, and .opened (see openvpn_scripts)
    up connect disconnect            scripts
    routes routes.asked              who sets the routes of peers, and how it is asked (see openvpn_routes)
    ccd/<common name>                who may come in, with which addresses and networks; ccd_compat/ for `compat`;
                                     behind a `#` the same for the scripts: how the peer is routed, and its networks
    shown/<common name>.<device>     the listeners' own, too: which certificate a peer showed when it connected, from
                                     which port, and the digest of what it was pushed
    pushed_split pushed_all          what peers are told when they connect, and whose own it is: networks, or all
    pushed_dns                       what devices are told beside that: the resolver, and the domains that are searched
    pushed_metric                    how far behind their own networks clients put the routes that they are told
    push_changed                     when one of these changed, until every session has it (see openvpn_push)

What peers are told is the same for all of them, but for their own networks: kept in one place, a new site changes one
file and not thousands. They hear of a change when they connect again, which openvpn_renewal has them do.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.agent.memory.names import COMPAT, LISTENERS, TCP, UDP, Names
from vpn.agent.openvpn import scripts as openvpn_scripts
from vpn.wire.errors import FAILED, AgentError
from vpn.wire.server_side import without_addresses
from vpn.wire.spec import HubSpec, OpenVPN, OpenVPNPeer

# openvpn(8) reads lines of 255 characters, and a client takes no more domains to search.
_LONGEST_LINE: Final = 255
_MOST_SEARCHED: Final = 10

# A path becomes a word in a configuration and in a script.
_PATH: Final = re.compile(r"/[A-Za-z0-9_./@:+-]+")
_MOST_CLIENTS: Final = 65536  # a /16 pool has fewer
# Over TCP whoever connects is a client before showing a key, over UDP before showing a certificate. So there is room
# for twice the hub's peers and some hundred strangers, in steps: another number restarts the listener.
# OpenVPN refuses connect-freq over TCP; the host's limits do that (see host_limits).
_STEPS: Final = ((512, 1024), (4096, 8192))
# Seconds for a handshake: then a connection without a key is closed. The default of 60 is twice the room for strangers.
_HANDSHAKE: Final = 30
# What a listener may have in memory: some 200 kB for a client that shows no key, more for one that does.
_MEMORY: Final = 64 << 20
_MEMORY_OF_CLIENT: Final = 512 << 10
_LONGEST_SOCKET: Final = 107  # characters, unix(7)

# The listener's own netmask, which nothing is set up with: a pool that is widened must not restart it.
_ANY_POOL: Final = "255.255.0.0"


@dataclass(frozen=True)
class _Pace:
    """After how many seconds of silence each end says something, the client connects anew, the hub forgets it."""

    ping: int
    restart: int
    forgotten: int

    def lines(self) -> list[str]:
        """Return what a peer's own file says of it, for both ends (openvpn(8), `ping` and `ping-restart`)."""
        return [
            f"ping {self.ping}",
            f"ping-restart {self.forgotten}",
            f'push "ping {self.ping}"',
            f'push "ping-restart {self.restart}"',
        ]


# A router has mains power, and many people behind it: it notices within six seconds that the hub was killed.
_OFTEN: Final = _Pace(ping=2, restart=6, forgotten=30)
# Each packet wakes a phone's radio. One that is lost must not end the session. Over TCP, and at a restart in good
# order, a device hears of it at once all the same.
_SELDOM: Final = _Pace(ping=25, restart=55, forgotten=60)

_FIRST_METRIC: Final = 10_000
_METRICS: Final = 50_000

SCRIPTS: Final = ("up", "connect", "disconnect", "routes")
PUSHED: Final = frozenset({"pushed_split", "pushed_all", "pushed_dns"})
CRL: Final = "crl.pem"


@dataclass(frozen=True)
class Layout:
    """Where the files of a hub's listeners are."""

    directory: Path

    def checked(self) -> Layout:
        """Return itself when openvpn can use such paths, or raise AgentError."""
        if not _PATH.fullmatch(str(self.directory)) or len(str(self.socket(COMPAT))) > _LONGEST_SOCKET:
            message = "OpenVPN needs a state directory with a short name of letters, digits and simple signs."
            raise AgentError(FAILED, message)
        return self

    def config(self, listener: str) -> Path:
        """The configuration of a listener."""
        return self.directory / f"{listener}.conf"

    @property
    def run(self) -> Path:
        """The directory of what listeners write."""
        return self.directory / openvpn_scripts.RUN

    def socket(self, listener: str) -> Path:
        """The management socket of a listener."""
        return self.run / f"{listener}.sock"

    def pid(self, listener: str) -> Path:
        """Where a listener writes its process id."""
        return self.run / f"{listener}.pid"

    def log(self, listener: str) -> Path:
        """Where a listener writes why it could not start."""
        return self.run / f"{listener}.log"

    def opened(self, listener: str) -> Path:
        """What is there while a listener waits for its interface to be moved."""
        return self.run / f"{listener}.opened"

    @property
    def routes(self) -> Path:
        """The script that sets routes, by which its process is known."""
        return self.directory / "routes"

    @property
    def routes_started(self) -> Path:
        """Which process of it was started, and with which script."""
        return self.directory / "routes.started"

    @property
    def asked(self) -> Path:
        """The pipe by which it is asked."""
        return self.directory / openvpn_scripts.ASKED

    def clients(self, compat: bool) -> Path:
        """The directory of those that may come in."""
        return self.directory / clients_of(COMPAT if compat else UDP)

    @property
    def shown(self) -> Path:
        """The directory of what peers have shown when they connected."""
        return self.directory / openvpn_scripts.SHOWN

    @property
    def push_changed(self) -> Path:
        """Where it stands that not every session has what is pushed now."""
        return self.directory / "push_changed"


def clients_of(listener: str) -> str:
    """Return the name of the directory of those that may come in."""
    return "ccd_compat" if listener == COMPAT else "ccd"


def ports(openvpn: OpenVPN | None) -> dict[str, int]:
    """Return which listeners there are to be, with their ports."""
    if openvpn is None:
        return {}
    listeners = {UDP: openvpn.udp_port, TCP: openvpn.tcp_port}
    if openvpn.compat_port is not None:
        listeners[COMPAT] = openvpn.compat_port
    return listeners


def contents(layout: Layout, names: Names, spec: HubSpec, openvpn: OpenVPN, dual_stack: bool) -> dict[str, str]:
    """Return all files by name, but those of single peers."""
    texts = {
        "ca.pem": openvpn.ca,
        "certificate.pem": openvpn.certificate,
        "private_key.pem": openvpn.private_key,
        "tls_crypt_v2.pem": openvpn.tls_crypt_v2,
        CRL: openvpn.crl,
        "up": openvpn_scripts.up(layout.directory),
        "connect": openvpn_scripts.connect(layout.directory),
        "disconnect": openvpn_scripts.disconnect(layout.directory),
        "routes": openvpn_scripts.routes(
            layout.directory, {names.openvpn(each): clients_of(each) for each in LISTENERS}
        ),
        **pushed(spec),
    }
    for listener, port in ports(openvpn).items():
        texts[f"{listener}.conf"] = _configuration(layout, names, spec, listener, port, dual_stack)
    return texts


def pushed(spec: HubSpec) -> dict[str, str]:
    """Return the files with what peers are told, by name."""
    return {
        "pushed_split": _pushed_split(spec),
        "pushed_all": _pushed_all(),
        "pushed_dns": _pushed_dns(spec),
        "pushed_metric": _pushed_metric(spec),
    }


def digest(directory: Path, listener: str) -> str:
    """Return the digest of all that a listener reads at its start, and never again."""
    return _digest([(directory / name).read_bytes() for name in _read_at_start(listener)])


def digest_of(texts: Mapping[str, str], listener: str) -> str:
    """Return the digest that `contents` will have once they are written."""
    return _digest([texts[name].encode() for name in _read_at_start(listener)])


def _read_at_start(listener: str) -> list[str]:
    read = ["ca.pem", "certificate.pem", "private_key.pem", "up", f"{listener}.conf"]
    return read if listener == COMPAT else [*read, "tls_crypt_v2.pem"]


def _digest(contents: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for content in contents:
        found.update(content + b"\0")
    return found.hexdigest()[:32]


def client(spec: HubSpec, peer: OpenVPNPeer) -> str:
    """Return a peer's file for client-config-dir and for the scripts.

    A router with static routes (RouterOS 6) carries IPv4 alone: the less it is pushed, the less it can misread.
    """
    hub_v4, hub_v6 = _hub_addresses(spec.addresses)
    lines = [f"# {' '.join(_kinds(peer))}", *(f"# {network}" for network in peer.networks)]
    for address in peer.addresses:
        plain = address.partition("/")[0]
        if ":" not in plain:
            lines.append(f"ifconfig-push {plain} {hub_v4.netmask}")
        elif hub_v6 is not None and not peer.static_routes:
            lines.append(f"ifconfig-ipv6-push {plain}/{hub_v6.network.prefixlen} {hub_v6.ip}")
    lines += [_route("iroute", route) for route in peer.routes]
    return "\n".join([*lines, *_pace_of(peer).lines()]) + "\n"


def address_lines(spec: HubSpec, device: str) -> list[str]:
    """Return what ip(8) is told to make a listener's interface ready inside the hub.

    Every tunnel has the hub's addresses, alone: the pool belongs to WireGuard's, and connected peers have routes.
    """
    lines = []
    for address in spec.addresses:
        interface = ipaddress.ip_interface(address)
        suffix = " nodad" if interface.version == 6 else ""
        lines.append(f"address replace {interface.ip}/{interface.max_prefixlen} dev {device}{suffix}")
    return [
        f"link set dev {device} addrgenmode none mtu {spec.mtu}",
        f"link set dev {device} txqueuelen 1000 up",
        *lines,
    ]


def _configuration(layout: Layout, names: Names, spec: HubSpec, listener: str, port: int, dual_stack: bool) -> str:
    here, device = layout.directory, names.openvpn(listener)
    clients = layout.clients(listener == COMPAT)
    transport = UDP if listener == UDP else "tcp"
    hub, hub_v6 = _hub_addresses(spec.addresses)
    lines = [
        "mode server",
        "tls-server",
        f"proto {transport}{'6' if dual_stack else '4'}{'-server' if transport == TCP else ''}",
        f"port {port}",
        f"dev {device}",
        "dev-type tun",
        "topology subnet",
        f"ifconfig {hub.ip} {_ANY_POOL}",
        "ifconfig-noexec",
        "route-noexec",
        "disable-dco",
        "persist-tun",
        "persist-key",
        f"tun-mtu {spec.mtu}",
        f"client-config-dir {clients}",
        "ccd-exclusive",
        "script-security 2",
        f'up "{here}/up {listener}"',
        f'client-connect "{here}/connect {device} {clients.name}"',
        f'client-disconnect "{here}/disconnect {device} {clients.name}"',
        f"management {layout.socket(listener)} unix",
        f"writepid {layout.pid(listener)}",
        f"log {layout.log(listener)}",
        f"tmp-dir {layout.run}",
        f"max-clients {most_clients(spec)}",
        f"hand-window {_HANDSHAKE}",
        "verb 1",
        "mute 10",
        'push "topology subnet"',
        f'push "route-gateway {hub.ip}"',
        *_keepalive(listener),
        *_secrecy(listener, here),
    ]
    if hub_v6 is not None:
        lines.append(f"ifconfig-ipv6 {hub_v6.with_prefixlen} {hub_v6.ip}")
    return "\n".join(lines) + "\n"


def most_clients(spec: HubSpec) -> int:
    """Return how many clients a listener has room for."""
    peers = sum(isinstance(peer, OpenVPNPeer) for peer in spec.peers.values())
    return next((most for step, most in _STEPS if peers <= step), _MOST_CLIENTS)


def most_memory(spec: HubSpec) -> int:
    """Return how many bytes of data a listener may have."""
    return _MEMORY + most_clients(spec) * _MEMORY_OF_CLIENT


def _keepalive(listener: str) -> list[str]:
    # As for routers; `client` says otherwise for devices, and tells each its own side.
    lines = [f"ping {_OFTEN.ping}", f"ping-restart {_OFTEN.forgotten}"]
    if listener != UDP:
        return [*lines, "tcp-nodelay"]
    return [
        *lines,
        "multihome",
        # Whichever side leaves tells the other. Clients hear of it here, for their file has remotes over TCP as well.
        "explicit-exit-notify 1",
        'push "explicit-exit-notify 1"',
        # No limit: a device that makes up its source would use one up for all others. What begins is limited by source
        # on its way here (see host_limits), and an answer is shorter than what it answers.
        "connect-freq-initial 1000000 10",
    ]


def _secrecy(listener: str, here: Path) -> list[str]:
    lines = [
        f"ca {here}/ca.pem",
        f"cert {here}/certificate.pem",
        f"key {here}/private_key.pem",
        f"crl-verify {here}/{CRL}",
        "dh none",
        "verify-client-cert require",
        "remote-cert-tls client",
        "tls-version-min 1.2",
    ]
    if listener == COMPAT:
        return [*lines, "data-ciphers AES-256-GCM:AES-256-CBC", "data-ciphers-fallback AES-256-CBC", "auth SHA1"]
    return [
        *lines,
        "data-ciphers AES-256-GCM:CHACHA20-POLY1305",
        "auth SHA256",
        f"tls-crypt-v2 {here}/tls_crypt_v2.pem",
    ]


def _pushed_split(spec: HubSpec) -> str:
    lines = [f'- push "{_route("route", route)}"' for route in _told(spec, spec.pushed_routes)]
    # In an order of its own: that of the peers in a spec means nothing.
    for peer_id, peer in sorted(spec.peers.items()):
        lines += [f'{peer_id} push "{_route("route", route)}"' for route in _told(spec, peer.routes)]
    return _ended(lines)


def _told(spec: HubSpec, routes: Iterable[str]) -> Iterable[str]:
    """Return routes as peers are told them: without where they find the hub, which the tunnel itself goes to."""
    for route in routes:
        if not _is_default(route):
            yield from without_addresses(route, spec.server.addresses)


def _pushed_metric(spec: HubSpec) -> str:
    """Return the metric of the routes: behind those of a client's own networks, another one for each hub."""
    number = int.from_bytes(hashlib.sha256(spec.hub.encode()).digest()[:4], "big")
    return _ended([f'- push "route-metric {_FIRST_METRIC + number % _METRICS}"'])


def _pushed_all() -> str:
    # The last one is for Windows, which asks over every interface at once. Other clients pass over it.
    return _ended(['- push "redirect-gateway def1 ipv6"', '- push "block-outside-dns"'])


def _pushed_dns(spec: HubSpec) -> str:
    options = [f"DNS{'6' if ':' in server else ''} {server}" for server in spec.dns]
    # The first one is the connection's own domain where a client has room for one only.
    searched = spec.search_domains[:_MOST_SEARCHED]
    options += [f"DOMAIN{'-SEARCH' if number else ''} {domain}" for number, domain in enumerate(searched)]
    lines = [f'- push "dhcp-option {option}"' for option in options]
    return _ended(line for line in lines if len(line) <= _LONGEST_LINE)


def _kinds(peer: OpenVPNPeer) -> list[str]:
    """Return which of the files `pushed_...` a peer is told: none where its routes stand in its own configuration.

    Those that a router serves have a resolver.
    """
    if peer.static_routes:
        return []
    told = ["all" if peer.route_all else "split", *([] if _is_router(peer) else ["dns"])]
    # RouterOS knows no metric.
    return told if peer.route_all or peer.compat else [*told, "metric"]


def _is_router(peer: OpenVPNPeer) -> bool:
    """Return whether a peer has networks behind it, or cannot do what is up to date."""
    return bool(peer.routes) or peer.compat


def _pace_of(peer: OpenVPNPeer) -> _Pace:
    return _OFTEN if _is_router(peer) else _SELDOM


def _ended(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _is_default(route: str) -> bool:
    return route.endswith("/0")


def _route(word: str, network: str) -> str:
    """Return `route` or `iroute` for a network of either family."""
    parsed = ipaddress.ip_network(network)
    if parsed.version == 6:
        return f"{word}-ipv6 {parsed}"
    return f"{word} {parsed.network_address} {parsed.netmask}"


@functools.lru_cache(maxsize=4)
def _hub_addresses(addresses: tuple[str, ...]) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv6Interface | None]:
    """Return the hub's first address of each family: every peer's file asks for them."""
    v4 = next(ipaddress.IPv4Interface(address) for address in addresses if ":" not in address)
    return v4, next((ipaddress.IPv6Interface(address) for address in addresses if ":" in address), None)
