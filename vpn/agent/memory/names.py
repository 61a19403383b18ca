"""What belongs to a hub is named after it: unique on the host, with our own prefix, 15 characters at most."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.system.command import Place
from vpn.wire.reserved import LINKS_V4, LINKS_V6

# OpenVPN's listeners: two that share their settings, and one for routers that cannot do what those ask for.
UDP: Final = "udp"
TCP: Final = "tcp"
COMPAT: Final = "compat"
LISTENERS: Final = (UDP, TCP, COMPAT)

# The daemons that have a user each.
WIREGUARD, OPENVPN, ROUTES, RESOLVER = range(4)

# What the names of the host's ends of links begin with.
HOSTLINK: Final = "vh-"

LINK_COUNT: Final = LINKS_V4.num_addresses // 2


def _no_user(_hub: str) -> int:
    return 0


@dataclass(frozen=True)
class Names:
    """The names of one hub's parts on its host. `first_user` says which user ids its daemons have (see `users`)."""

    hub: str
    host: Place
    first_user: Callable[[str], int] = field(default=_no_user, compare=False)

    def user(self, daemon: int) -> int:
        """Return the user id of one of the hub's daemons (`WIREGUARD` and so on), which is its group id, too.

        0 is root's, where there are no other users.
        """
        first = self.first_user(self.hub)
        return first + daemon if first else 0

    @property
    def netns(self) -> str:
        """The hub's network namespace."""
        return f"hub-{self.hub}"

    @property
    def inside(self) -> Place:
        """The hub's network namespace as a place for commands."""
        return Place(self.netns)

    @property
    def wireguard(self) -> str:
        """The tunnel interface, inside."""
        return f"wg-{self.hub}"

    def openvpn(self, listener: str) -> str:
        """The tunnel interface of one of OpenVPN's listeners (`udp`, `tcp`, `compat`), inside."""
        return f"o{listener[0]}-{self.hub}"

    @property
    def tunnels(self) -> tuple[str, ...]:
        """All tunnel interfaces that there may be, inside."""
        return (self.wireguard, *map(self.openvpn, LISTENERS))

    @property
    def uplink(self) -> str:
        """The inner end of the link to the host."""
        return f"up-{self.hub}"

    @property
    def hostlink(self) -> str:
        """The host's end of the link."""
        return f"{HOSTLINK}{self.hub}"


@dataclass(frozen=True)
class Link:
    """The addresses of one link: a /31 (RFC 3021) and a /127 (RFC 6164), the lower ones the host's."""

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
