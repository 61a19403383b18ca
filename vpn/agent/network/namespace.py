"""The hub's network namespace, and how its kernel forwards."""

from __future__ import annotations

import os
from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.network import netns_view
from vpn.agent.network.netns_view import Inside
from vpn.agent.system import command, nft, sysctl
from vpn.agent.system.command import NAMESPACES, Place
from vpn.wire import codes
from vpn.wire.finding import Finding

# A hub sends no redirects and accepts no router advertisements. The firewall checks sources, since the reverse path
# filter has no IPv6. ICMP errors are not rate-limited, so that programs try the other family at once: they go to peers
# alone, whose sources are checked.
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


# The tables of `firewall`, `egress` and `limits`: any other is foreign.
OWN_TABLES: Final = frozenset({("inet", "hub"), ("inet", "hub_egress"), ("inet", "hub_limits")})

_LOOPBACK: Final = frozenset({"127.0.0.1/8", "::1/128"})


def exists(netns: str) -> bool:
    """Return whether there is a namespace of that name: a file alone, left by a reboot or a crash, is none."""
    try:
        return os.stat(f"{NAMESPACES}/{netns}").st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False


def ensure(names: Names) -> bool:
    """Make the hub's namespace be there and forward; return whether something was missing."""
    if not exists(names.netns):
        _create(names)
        return True
    changed = sysctl.ensure(names.inside, SETTINGS)
    changed |= _ensure_loopback(names.inside)
    return _remove_foreign(names, netns_view.look(names.inside)) or changed


def drift(names: Names, there: Inside) -> list[Finding]:
    """Return what was added beside the hub's parts: addresses, and tables of the firewall."""
    found = [codes.NAMESPACE_ADDRESS_ADDED.of(address) for _, address in _foreign_addresses(names, there)]
    tables = nft.tables(names.inside) - OWN_TABLES
    return found + [codes.NAMESPACE_TABLE_ADDED.of(f"{family}/{name}") for family, name in sorted(tables)]


def remove(names: Names) -> None:
    """Remove the hub's namespace with all that lives in it; one that is gone already is fine."""
    if os.path.lexists(f"{NAMESPACES}/{names.netns}"):
        command.run(["ip", "netns", "delete", names.netns])


def _create(names: Names) -> None:
    if os.path.lexists(f"{NAMESPACES}/{names.netns}"):
        command.try_run(["ip", "netns", "delete", names.netns])
    command.run(["ip", "netns", "add", names.netns])
    sysctl.write(names.inside, SETTINGS)
    names.inside.run(["ip", "link", "set", "dev", "lo", "up"])


def _ensure_loopback(inside: Place) -> bool:
    if inside.run(["ip", "-o", "link", "show", "dev", "lo", "up"]).strip():
        return False
    inside.run(["ip", "link", "set", "dev", "lo", "up"])
    return True


def _remove_foreign(names: Names, there: Inside) -> bool:
    lines = [f"address delete {address} dev {device}" for device, address in _foreign_addresses(names, there)]
    if lines:
        names.inside.try_run(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n")
    return nft.remove_tables(names.inside, nft.tables(names.inside) - OWN_TABLES) or bool(lines)


def _foreign_addresses(names: Names, there: Inside) -> list[tuple[str, str]]:
    """Return foreign addresses: added to the loopback interface, or on interfaces that are not the hub's."""
    devices = sorted(there.addresses.keys() - {*names.tunnels, names.uplink})
    return [
        (device, address)
        for device in devices
        for address in there.added(device, _LOOPBACK if device == "lo" else frozenset())
    ]
