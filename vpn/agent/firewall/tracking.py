"""The kernel's memory of connections, and how it is shared out among hubs and their peers.

For each new connection that is counted the kernel goes through the list of those that count with it. So there are 64
short lists for each hub and peer, by bits of where a connection leads and of the port that it comes from: what leads to
one address may fill eight of them, and so may what comes from one port; what does both has one. A peer fills no list of
its hub's alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

# One number for all namespaces, each of which has a table of its own of that size (measured on Linux 6.18).
_MAX: Final = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_USUAL_MAX: Final = 262_144

_LISTS: Final = 64
# What a list is found by; for TCP and UDP alone, as others have no ports.
FLOW: Final = {4: "ip daddr & 0.0.0.7 . th sport & 14", 6: "ip6 daddr & ::7 . th sport & 14"}
FLOW_TYPE: Final = {4: "ip daddr . th sport", 6: "ip6 daddr . th sport"}
WITH_PORTS: Final = "meta l4proto { tcp, udp }"
WITHOUT_PORTS: Final = "meta l4proto != { tcp, udp }"

# For how many seconds a connection that says nothing is remembered, of the hub's namespace alone: as long as what
# translates addresses has to (RFC 5382, REQ-5: 2 h 4 min; RFC 4787, REQ-5: 2 min), and not five days. The first packets
# of one that is not answered are forgotten soon.
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
    """Return how many connections a namespace remembers."""
    try:
        return int(_MAX.read_text())
    except (OSError, ValueError):
        return _USUAL_MAX


def list_of_all() -> int:
    """Return how many connections one of the host's 64 lists for all hubs has: three quarters of its table in all."""
    return max(3 * most() // 4 // _LISTS, 32)


def list_of_hub() -> int:
    """Return the same for one hub: an eighth of the host's table."""
    return max(most() // 8 // _LISTS, 16)


def list_of_site() -> int:
    """Return the same for the machines behind one router."""
    return list_of_hub() // 2


def list_of_device() -> int:
    """Return the same for one device."""
    return list_of_hub() // 4


def knocks_a_second() -> int:
    """Return how many first packets a second all hubs' sockets take: an eighth of the host's table, as each is
    remembered for ten seconds."""
    return max(most() // 8 // 10, 16)
