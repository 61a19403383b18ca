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

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from vpn.agent.memory.names import COMPAT, LISTENERS, TCP, UDP, Names
from vpn.agent.openvpn import pushed_files
from vpn.agent.openvpn import scripts as openvpn_scripts
from vpn.agent.openvpn.layout import Layout, clients_of
from vpn.agent.openvpn.lines import hub_addresses
from vpn.agent.openvpn.pace import OFTEN
from vpn.wire.peers import OpenVPNPeer
from vpn.wire.spec import HubSpec, OpenVPN

_MOST_CLIENTS: Final = 65536  # a /16 pool has fewer
# OpenVPN counts a client over TCP before it shows a key, over UDP before it shows a certificate. So there is room
# for twice the hub's peers and some hundred strangers, in steps: another number restarts the listener.
# OpenVPN refuses connect-freq over TCP; the host's limits do that (see host_limits).
_STEPS: Final = ((512, 1024), (4096, 8192))
# Seconds for a handshake: then a connection without a key is closed. The default of 60 is twice the room for strangers.
_HANDSHAKE: Final = 30
# What a listener may have in memory: some 200 kB for a client that shows no key, more for one that does.
_MEMORY: Final = 64 << 20
_MEMORY_OF_CLIENT: Final = 512 << 10

# The listener's own netmask, which nothing is set up with: a pool that is widened must not restart it.
_ANY_POOL: Final = "255.255.0.0"


SCRIPTS: Final = ("up", "connect", "disconnect", "routes")
CRL: Final = "crl.pem"


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
        **pushed_files.pushed(spec),
    }
    for listener, port in ports(openvpn).items():
        texts[f"{listener}.conf"] = _configuration(layout, names, spec, listener, port, dual_stack)
    return texts


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
    lines = [f"ping {OFTEN.ping}", f"ping-restart {OFTEN.forgotten}"]
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
