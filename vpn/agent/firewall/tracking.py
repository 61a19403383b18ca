"""The kernel's connection tracking (conntrack) table, and how it is divided among hubs and their peers.

To count a new connection (`ct count`), the kernel walks the list of connections with the same key. To keep lists short,
each hub and peer has 64, selected by three bits of the destination address and three of the source port. Connections
to one address, or from one port, can fill eight lists; connections with both in common fill one. One peer cannot fill
any list of its hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

# One setting for all namespaces; each namespace has its own table of that size (measured on Linux 6.18).
_MAX: Final = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_USUAL_MAX: Final = 262_144

_LISTS: Final = 64
# The key of a list, for TCP and UDP only: other protocols have no ports.
FLOW: Final = {4: "ip daddr & 0.0.0.7 . th sport & 14", 6: "ip6 daddr & ::7 . th sport & 14"}
FLOW_TYPE: Final = {4: "ip daddr . th sport", 6: "ip6 daddr . th sport"}
WITH_PORTS: Final = "meta l4proto { tcp, udp }"
WITHOUT_PORTS: Final = "meta l4proto != { tcp, udp }"

# Idle timeouts of connections in seconds, for the hub's namespace only. They are the minimum that the RFCs require of a
# NAT (RFC 5382, REQ-5: 2 h 4 min; RFC 4787, REQ-5: 2 min), not Linux's five days. Unanswered attempts expire soon.
TIMEOUTS: Final = {
    "net.netfilter.nf_conntrack_tcp_timeout_established": "7440",
    "net.netfilter.nf_conntrack_tcp_timeout_syn_sent": "30",
    "net.netfilter.nf_conntrack_tcp_timeout_syn_recv": "30",
    "net.netfilter.nf_conntrack_tcp_timeout_fin_wait": "60",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait": "30",
    "net.netfilter.nf_conntrack_udp_timeout": "30",
    "net.netfilter.nf_conntrack_udp_timeout_stream": "120",
    "net.netfilter.nf_conntrack_generic_timeout": "120",
}


def most() -> int:
    """Return the size of a namespace's conntrack table."""
    try:
        return int(_MAX.read_text())
    except (OSError, ValueError):
        return _USUAL_MAX


def list_of_all() -> int:
    """Return the length of each of the 64 lists that all hubs share: together three quarters of the host's table."""
    return max(3 * most() // 4 // _LISTS, 32)


def list_of_hub() -> int:
    """Return the length of each list of one hub: together an eighth of the host's table."""
    return max(most() // 8 // _LISTS, 16)


def list_of_site() -> int:
    """Return the length of each list of the machines behind one router: half of a hub's."""
    return list_of_hub() // 2


def list_of_device() -> int:
    """Return the length of each list of one device: a quarter of a hub's."""
    return list_of_hub() // 4


def attempts_per_second() -> int:
    """Return the rate of tracked UDP attempts at all hubs together.

    Each entry is kept for ten seconds, so this rate fills an eighth of the host's table.
    """
    return max(most() // 8 // 10, 16)
