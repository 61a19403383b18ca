"""The hub's network namespace, and its kernel settings for forwarding."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.network import netns_view
from vpn.agent.network.netns_view import NetnsView
from vpn.agent.system import command, inside, nft, sysctl
from vpn.agent.system.command import NAMESPACES, Netns, Result
from vpn.wire import codes
from vpn.wire.finding import Finding

# A hub sends no redirects and accepts no router advertisements. The firewall checks sources, because the kernel's
# reverse path filter does not cover IPv6. ICMP errors are not rate-limited, so that programs try the other family at
# once. They are sent only to peers, whose sources are checked.
SETTINGS: Final = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.default.accept_redirects": "0",
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv4.conf.default.accept_source_route": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.icmp_ratelimit": "0",
    "net.ipv6.icmp.ratelimit": "0",
    "net.ipv6.conf.all.accept_ra": "0",
    "net.ipv6.conf.default.accept_ra": "0",
    "net.ipv6.conf.all.accept_redirects": "0",
    "net.ipv6.conf.default.accept_redirects": "0",
    "net.ipv6.conf.all.forwarding": "1",
}


# The tables of `firewall`, `egress` and `limits`. Any other table was added by another program.
OWN_TABLES: Final = frozenset({("inet", "hub"), ("inet", "hub_egress"), ("inet", "hub_limits")})

_LOOPBACK: Final = frozenset({"127.0.0.1/8", "::1/128"})
_FLAGS: Final = struct.Struct("16sH22x")  # the name and the flags of an interface
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1


def exists(netns: str) -> bool:
    """Return True if the namespace exists. A plain file with its name, left by a crash, does not count."""
    try:
        return os.stat(f"{NAMESPACES}/{netns}").st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False


def add(names: Names) -> None:
    """Create the hub's namespace, empty."""
    if os.path.lexists(f"{NAMESPACES}/{names.netns}"):
        command.try_run(["ip", "netns", "delete", names.netns])
    command.run(["ip", "netns", "add", names.netns])


def set_up(names: Names) -> None:
    """Set up a new namespace: it forwards."""
    sysctl.write(names.inside, SETTINGS)
    _ensure_loopback(names.inside)


def ensure(names: Names) -> bool:
    """Ensure that the hub's existing namespace forwards; return True if something differed."""
    changed = sysctl.ensure(names.inside, SETTINGS)
    changed |= _ensure_loopback(names.inside)
    return _remove_foreign(names, netns_view.read(names.inside)) or changed


def drift(names: Names, there: NetnsView) -> list[Finding]:
    """Return foreign addresses and nftables tables in the namespace."""
    found = [codes.NAMESPACE_ADDRESS_ADDED.of(address) for _, address in _foreign_addresses(names, there)]
    tables = nft.tables(names.inside) - OWN_TABLES
    return found + [codes.NAMESPACE_TABLE_ADDED.of(f"{family}/{name}") for family, name in sorted(tables)]


def remove(names: Names) -> None:
    """Remove the hub's namespace with everything in it. Calling it twice is harmless."""
    if os.path.lexists(f"{NAMESPACES}/{names.netns}"):
        command.run(["ip", "netns", "delete", names.netns])


def _ensure_loopback(netns: Netns) -> bool:
    """Set the loopback interface up; return True if it was down."""
    try:
        return inside.call(netns, _loopback_up)
    except OSError as error:
        raise command.explain("ip", Result(1, "", f"lo: {error.strerror}")) from error


def _loopback_up() -> bool:
    """Set this namespace's loopback interface up; return True if it was down (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, _GET_FLAGS, _FLAGS.pack(b"lo", 0))
        _, flags = _FLAGS.unpack(found)
        if flags & _UP:
            return False
        fcntl.ioctl(any_socket, _SET_FLAGS, _FLAGS.pack(b"lo", flags | _UP))
    return True


def _remove_foreign(names: Names, there: NetnsView) -> bool:
    lines = [f"address delete {address} dev {device}" for device, address in _foreign_addresses(names, there)]
    if lines:
        names.inside.try_run(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n")
    return nft.remove_tables(names.inside, nft.tables(names.inside) - OWN_TABLES) or bool(lines)


def _foreign_addresses(names: Names, there: NetnsView) -> list[tuple[str, str]]:
    """Return foreign addresses: added to the loopback interface, or on interfaces that are not the hub's."""
    devices = sorted(there.addresses.keys() - {*names.tunnels, names.uplink})
    return [
        (device, address)
        for device in devices
        for address in there.added(device, _LOOPBACK if device == "lo" else frozenset())
    ]
