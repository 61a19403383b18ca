"""Names of a hub's parts: derived from its name, unique on the host, with our prefix, at most 15 characters."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.system.command import Netns
from vpn.wire.reserved import LINKS_V4, LINKS_V6

# OpenVPN's listeners: `udp` and `tcp` have the same settings, `compat` is for routers that support only older ciphers.
UDP: Final = "udp"
TCP: Final = "tcp"
COMPAT: Final = "compat"
LISTENERS: Final = (UDP, TCP, COMPAT)

# The daemons; each has its own user.
WIREGUARD, OPENVPN, ROUTES, RESOLVER = range(4)

# Prefix of the host's end of each link.
HOSTLINK: Final = "vh-"

LINK_COUNT: Final = LINKS_V4.num_addresses // 2


def _no_user(_hub: str) -> int:
    return 0


@dataclass(frozen=True)
class Names:
    """The names of one hub's parts on its host. `first_user` returns its daemons' first user id (see `users`)."""

    hub: str
    host: Netns
    first_user: Callable[[str], int] = field(default=_no_user, compare=False)

    def user(self, daemon: int) -> int:
        """Return the user id of one of the hub's daemons (`WIREGUARD` and so on); the group id is the same.

        It is 0 (root) in a user namespace without other users.
        """
        first = self.first_user(self.hub)
        return first + daemon if first else 0

    @property
    def netns(self) -> str:
        """The name of the hub's network namespace."""
        return f"hub-{self.hub}"

    @property
    def inside(self) -> Netns:
        """The hub's network namespace, to run commands in."""
        return Netns(self.netns)

    @property
    def wireguard(self) -> str:
        """WireGuard's tunnel interface, inside the hub's namespace."""
        return f"wg-{self.hub}"

    def openvpn(self, listener: str) -> str:
        """The tunnel interface of an OpenVPN listener (`udp`, `tcp`, `compat`), inside the hub's namespace."""
        return f"o{listener[0]}-{self.hub}"

    @property
    def tunnels(self) -> tuple[str, ...]:
        """All possible tunnel interfaces inside the hub's namespace."""
        return (self.wireguard, *map(self.openvpn, LISTENERS))

    @property
    def uplink(self) -> str:
        """The hub's end of the link to the host."""
        return f"up-{self.hub}"

    @property
    def hostlink(self) -> str:
        """The host's end of the link."""
        return f"{HOSTLINK}{self.hub}"


@dataclass(frozen=True)
class Link:
    """The addresses of one link: a /31 (RFC 3021) and a /127 (RFC 6164). The host has the lower ones."""

    number: int

    @property
    def host_v4(self) -> ipaddress.IPv4Address:
        """The host's IPv4 address."""
        return LINKS_V4[2 * self.number]

    @property
    def hub_v4(self) -> ipaddress.IPv4Address:
        """The hub's IPv4 address."""
        return LINKS_V4[2 * self.number + 1]

    @property
    def host_v6(self) -> ipaddress.IPv6Address:
        """The host's IPv6 address."""
        return LINKS_V6[2 * self.number]

    @property
    def hub_v6(self) -> ipaddress.IPv6Address:
        """The hub's IPv6 address."""
        return LINKS_V6[2 * self.number + 1]
