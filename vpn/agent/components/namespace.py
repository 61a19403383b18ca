"""The hub's network namespace, and how its kernel forwards."""

from __future__ import annotations

import os
from typing import Final

from vpn.agent import command, sysctl
from vpn.agent.command import NAMESPACES, Place
from vpn.agent.names import Names

# A router between tunnels tells nobody of a shorter way, believes no router advertisement, and leaves the check of
# sources to the firewall (the reverse path filter knows nothing of IPv6). It answers everything that it cannot send on,
# so that programs try the other family at once: errors go to peers alone, whose sources are checked.
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
    return _ensure_loopback(names.inside) or changed


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
