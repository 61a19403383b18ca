"""Address ranges that a tunnel may never reach, or only with a route of the hub (RFC 6890 and IANA's registries).

The documentation ranges (RFC 5737, RFC 3849) are not included, because tests use them as the internet.
"""

from __future__ import annotations

import ipaddress
from typing import Final

# By IP version: a network wider than this is "broad". Other peers' networks may lie within it, so it does not belong to
# one peer alone, and an admin must confirm it.
BROAD_PREFIX: Final = {4: 8, 6: 32}

LINKS_V4: Final = ipaddress.IPv4Network("198.18.0.0/15")
LINKS_V6: Final = ipaddress.IPv6Network("fdba:5e11::/32")

# Never valid in a tunnel: "this" network, loopback, link-local and metadata, the hub's own links, multicast, reserved
# and broadcast (RFC 6890). A wider network that contains them (0.0.0.0/0) is allowed; the firewall excludes them.
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


# Services of clouds for their own machines, besides 169.254.0.0/16 and fe80::/10, which are in RESERVED. Metadata
# services reveal a machine's secrets, name servers its network's names. Sources:
#   AWS, EC2 user guide, "Instance metadata" and "Time sync", VPC user guide, "Amazon DNS server": 169.254.169.254,
#     .253, .123, 169.254.170.2 and .23 (credentials of containers); over IPv6 all in fd00:ec2::/32
#   Azure, "What is IP address 168.63.129.16?"; Google, "Access VM metadata" (169.254.169.254 and fd20:ce::254)
#   Oracle, "Getting instance metadata" (169.254.169.254 and fd00:c1::a9fe:a9fe), and Compute Classic's 192.0.0.192
#   Alibaba, "View instance metadata" (100.100.100.200), "DNS servers of ECS" (100.100.2.136 and .138)
#   Tencent, "Private DNS" (183.60.83.19, 183.60.82.98; metadata at 169.254.0.23)
#   IBM, VPC, "Service endpoints" (161.26.0.0/16, 166.8.0.0/14; metadata at 169.254.169.254)
#   Scaleway, "Instance metadata" (169.254.42.42 and fd00:42::42)
#   Linode, "Metadata service" (169.254.169.254 and fd00:a9fe:a9fe::1)
#   Hetzner, DigitalOcean, Vultr, OVH, Exoscale, UpCloud, Huawei, OpenStack: 169.254.169.254, OpenStack fe80::a9fe:a9fe
IN_GUEST_V4: Final = _v4(
    "100.100.2.136/32",
    "100.100.2.138/32",
    "100.100.100.200/32",
    "161.26.0.0/16",
    "166.8.0.0/14",
    "168.63.129.16/32",
    "183.60.82.98/32",
    "183.60.83.19/32",
    "192.0.0.192/32",
)
IN_GUEST_V6: Final = _v6(
    "fd00:42::42/128",
    "fd00:a9fe:a9fe::1/128",
    "fd00:c1::a9fe:a9fe/128",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
)
METADATA: Final[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]] = (*IN_GUEST_V4, *IN_GUEST_V6)

# Never a source or destination of traffic from a tunnel, even if a broad route covers it. `::/8` contains the
# unspecified address, loopback, mapped addresses and both NAT64 prefixes (64:ff9b::/96, 64:ff9b:1::/48).
NEVER_V4: Final = (*RESERVED_V4, *IN_GUEST_V4)
NEVER_V6: Final = (*RESERVED_V6, *IN_GUEST_V6)

# Not part of the internet: private and shared addresses, protocol assignments, the 6to4 relays.
_PRIVATE_V4: Final = (
    *RESERVED_V4,
    *_v4("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16"),
)
PRIVATE_V4: Final = (
    *_PRIVATE_V4,
    # An nftables set accepts no network within another one.
    *(network for network in IN_GUEST_V4 if not any(network.subnet_of(wider) for wider in _PRIVATE_V4)),
)
# `fc00::/7` contains the links and the clouds' services too. Teredo (2001::/32) and 6to4 (2002::/16) embed IPv4
# addresses, which may be private.
PRIVATE_V6: Final = (
    *_v6("::/8", "100::/64", "2001::/32", "2001:20::/27", "2002::/16", "5f00::/16"),
    *_v6("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
)
