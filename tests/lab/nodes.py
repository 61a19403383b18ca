"""The machines of a laboratory, and the addresses that are always the same (RFC 5737, RFC 3849)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

SEGMENT_V4: Final = ipaddress.IPv4Network("203.0.113.0/24")
SEGMENT_V6: Final = ipaddress.IPv6Network("2001:db8:113::/64")
GATEWAY_V4: Final = "203.0.113.254"
GATEWAY_V6: Final = "2001:db8:113::ffff"
OUTSIDE_V4: Final = "198.51.100.10"
OUTSIDE_V6: Final = "2001:db8:51::10"


@dataclass(frozen=True)
class Node:
    """A machine of the laboratory: its namespace and its addresses."""

    name: str
    netns: str
    v4: str = ""
    v6: str = ""


@dataclass(frozen=True)
class Site:
    """A branch: a router on the internet and a host in the LAN behind it."""

    router: Node
    lan: Node
    lan_v4: str
    lan_v6: str
