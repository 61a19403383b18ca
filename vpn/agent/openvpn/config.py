"""The files that openvpn reads, as text from a checked spec (openvpn(8), version 2.6).

    ca.pem certificate.pem private_key.pem crl.pem tls_crypt_v2.pem
    udp.conf tcp.conf compat.conf    one listener each
    run/                             written by the listeners: .sock, .pid and .log of each, and .opened (see scripts)
    up connect disconnect            scripts
    routes routes.asked              the script that sets peers' routes, and the pipe for its requests (see `routes`)
    ccd/<common name>                admits a peer, with its addresses and networks; ccd_compat/ for `compat`;
                                     lines after `#` are for the scripts: the kinds of pushed options, and the networks
    shown/<common name>.<device>     written by the script `connect`: the serial number of the peer's certificate, its
                                     port, and the digest of the options that it was pushed
    pushed_split pushed_all          pushed routes: networks with the peer that owns each, or the default route
    pushed_dns                       options for devices: the resolver and the search domains
    pushed_metric                    the metric of pushed routes, so that a client prefers its own networks
    push_changed                     the time of the last change of these files, until every session has it (see `push`)

All peers are pushed the same options, except the routes to their own networks. The options are in shared files, so a
new site changes one file and not thousands. `lifecycle.renewal` lets connected peers reconnect to get the change.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from vpn.agent.memory.names import COMPAT, LISTENERS, TCP, UDP, Names
from vpn.agent.openvpn import pushed_files
from vpn.agent.openvpn import scripts as openvpn_scripts
from vpn.agent.openvpn.keepalive import ROUTER
from vpn.agent.openvpn.layout import Layout, clients_of
from vpn.agent.openvpn.lines import hub_addresses
from vpn.wire.peers import OpenVPNPeer
from vpn.wire.spec import HubSpec, OpenVPN

_MOST_CLIENTS: Final = 65536  # a /16 pool has fewer
# OpenVPN counts a TCP client before any authentication, and a UDP client before its certificate is checked. So
# max-clients leaves room for twice the hub's peers and some hundred strangers. It grows in steps, because a new value
# restarts the listener. OpenVPN has no connect-freq over TCP; the host's limits replace it (see host_limits).
_STEPS: Final = ((512, 1024), (4096, 8192))
# Seconds for a handshake. With the default of 60, unauthenticated connections would take twice as many places.
_HANDSHAKE: Final = 30
# Memory limit of a listener: about 200 kB for an unauthenticated client, more for an authenticated one.
_MEMORY: Final = 64 << 20
_MEMORY_OF_CLIENT: Final = 512 << 10

# A fixed netmask, so that a wider pool does not restart the listener. With ifconfig-noexec it has no other effect.
_ANY_POOL: Final = "255.255.0.0"


SCRIPTS: Final = ("up", "connect", "disconnect", "routes")
CRL: Final = "crl.pem"


def ports(openvpn: OpenVPN | None) -> dict[str, int]:
    """Return the configured listeners with their ports."""
    if openvpn is None:
        return {}
    listeners = {UDP: openvpn.udp_port, TCP: openvpn.tcp_port}
    if openvpn.compat_port is not None:
        listeners[COMPAT] = openvpn.compat_port
    return listeners


def contents(layout: Layout, names: Names, spec: HubSpec, openvpn: OpenVPN, dual_stack: bool) -> dict[str, str]:
    """Return all files by name, except the peers' files."""
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
        **pushed_files.pushed(spec),
    }
    for listener, port in ports(openvpn).items():
        texts[f"{listener}.conf"] = _configuration(layout, names, spec, listener, port, dual_stack)
    return texts


def digest(directory: Path, listener: str) -> str:
    """Return the digest of the files that a listener reads at its start only."""
    return _digest([(directory / name).read_bytes() for name in _read_at_start(listener)])


def digest_of(texts: Mapping[str, str], listener: str) -> str:
    """Return the same digest for contents that are not written yet."""
    return _digest([texts[name].encode() for name in _read_at_start(listener)])


def _read_at_start(listener: str) -> list[str]:
    read = ["ca.pem", "certificate.pem", "private_key.pem", "up", f"{listener}.conf"]
    return read if listener == COMPAT else [*read, "tls_crypt_v2.pem"]


def _digest(contents: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for content in contents:
        found.update(content + b"\0")
    return found.hexdigest()[:32]


def address_lines(spec: HubSpec, device: str) -> list[str]:
    """Return the ip(8) commands that set up a listener's interface inside the hub.

    Every tunnel interface has the hub's addresses without the pool's prefix: the pool is routed to WireGuard, and
    connected OpenVPN peers have routes of their own.
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
    hub, hub_v6 = hub_addresses(spec.addresses)
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
        *_scripts(here, device, listener, clients.name),
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


def _scripts(here: Path, device: str, listener: str, clients: str) -> list[str]:
    return [
        "script-security 2",
        f'up "{here}/up {listener}"',
        f'client-connect "{here}/connect {device} {clients}"',
        f'client-disconnect "{here}/disconnect {device} {clients}"',
    ]


def most_clients(spec: HubSpec) -> int:
    """Return max-clients of a listener."""
    peers = sum(isinstance(peer, OpenVPNPeer) for peer in spec.peers.values())
    return next((most for step, most in _STEPS if peers <= step), _MOST_CLIENTS)


def most_memory(spec: HubSpec) -> int:
    """Return a listener's memory limit in bytes."""
    return _MEMORY + most_clients(spec) * _MEMORY_OF_CLIENT


def _keepalive(listener: str) -> list[str]:
    # The values for routers. The file of a device overrides them (see `peer_file`).
    lines = [f"ping {ROUTER.ping}", f"ping-restart {ROUTER.hub_timeout}"]
    if listener != UDP:
        return [*lines, "tcp-nodelay"]
    return [
        *lines,
        "multihome",
        # Write without asking poll(2) first, which saves a tenth of the processor time. If the socket is full, the
        # packet is lost, as in a router with a full queue.
        "fast-io",
        # Each side announces its exit. Clients get the option here, because their profile also has TCP remotes.
        "explicit-exit-notify 1",
        'push "explicit-exit-notify 1"',
        # Effectively no limit: spoofed sources could use up a global one for all clients. The host limits attempts by
        # source (see host_limits), and a reply is shorter than its request, so it does not amplify.
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
