"""Address ranges that a tunnel may not reach, or not without a route of the hub (RFC 6890 and IANA's registries).

The documentation ranges (RFC 5737, RFC 3849) are not among them: tests play the internet with them.
"""

from __future__ import annotations

import ipaddress
from typing import Final

LINKS_V4: Final = ipaddress.IPv4Network("198.18.0.0/15")
LINKS_V6: Final = ipaddress.IPv6Network("fdba:5e11::/32")

# No tunnel has business with these: "this" network, loopback, link-local and metadata, the hub's own links, multicast,
# reserved and broadcast (RFC 6890); a wider network that covers them (0.0.0.0/0) is fine, the firewall cuts them out.
RESERVED_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", str(LINKS_V4), "224.0.0.0/4", "240.0.0.0/4")
)
RESERVED_V6: Final = tuple(
    ipaddress.IPv6Network(network) for network in ("::/8", "fe80::/10", str(LINKS_V6), "ff00::/8")
)


def _v4(*networks: str) -> tuple[ipaddress.IPv4Network, ...]:
    return tuple(ipaddress.IPv4Network(network) for network in networks)


def _v6(*networks: str) -> tuple[ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.IPv6Network(network) for network in networks)


# Never a source or a destination of what comes out of a tunnel, even where a broad route covers it. `::/8` holds the
# unspecified address, loopback, mapped addresses and both NAT64 prefixes (64:ff9b::/96, 64:ff9b:1::/48).
NEVER_V4: Final = RESERVED_V4
NEVER_V6: Final = RESERVED_V6

# Where clouds tell a machine about itself, its keys included, beside those that NEVER holds: AWS over IPv6, Google over
# IPv6, Alibaba, Oracle and Azure. No way leads there through the hub's server.
METADATA: Final[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]] = (
    *_v4("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    *_v6("fd00:ec2::/32", "fd20:ce::254/128"),
)

# No way out to the internet leads to these: private and shared addresses, protocol assignments, the 6to4 relays.
PRIVATE_V4: Final = (
    *NEVER_V4,
    *_v4("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16"),
    *_v4("168.63.129.16/32"),  # Azure's, see METADATA
)
# `fc00::/7` holds the links too. Teredo (2001::/32) and 6to4 (2002::/16) carry IPv4 addresses, private ones included.
PRIVATE_V6: Final = (
    *_v6("::/8", "100::/64", "2001::/32", "2001:20::/27", "2002::/16", "5f00::/16"),
    *_v6("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
)
