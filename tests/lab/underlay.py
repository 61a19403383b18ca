"""Ways onto the internet as they are in life: small, of one family, and with nobody who puts fragments together.

    phone = add_behind(lab, "phone", mtu=1420, v4=False)
    drop_fragments(lab)

Such a device has a link of its own to the laboratory's internet, which routes, and so tells senders of packets that are
too large (RFC 1191, RFC 8201). 192.0.2.0/24 and 2001:db8:2::/48 are cut up for these links.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.lab.lab import Lab
from tests.lab.nodes import GATEWAY_V4, GATEWAY_V6, SEGMENT_V4, SEGMENT_V6, Node

_numbers = itertools.count(1)

# Ahead of connection tracking, which would put them together first. IPv6's are told by their header.
_NO_FRAGMENTS: Final = """
table inet fragments {
  chain arrivals {
    type filter hook prerouting priority -450;
    ip frag-off & 0x3fff != 0 counter drop
    exthdr frag exists counter drop
  }
}
"""


def add_behind(lab: Lab, name: str, *, mtu: int = 1500, v4: bool = True, v6: bool = True) -> Node:
    """Add a device behind a link of its own, with packets of at most `mtu` bytes, in the families asked for."""
    number = next(_numbers) % 60
    prefix_v4, prefix_v6 = f"192.0.2.{4 * number}", f"2001:db8:2:{number:x}::"
    first = int(prefix_v4.rpartition(".")[2])
    router_v4, router_v6 = f"192.0.2.{first + 1}", f"{prefix_v6}1"
    node = lab._add_namespace(name, f"192.0.2.{first + 2}" if v4 else "", f"{prefix_v6}2" if v6 else "")
    link = f"u{number}"
    lab._ip(
        lab.internet,
        f"link add {link} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {node.netns}",
        f"link set {link} up",
    )
    lab._ip(node, "link set eth0 up")
    if v4:
        lab._ip(lab.internet, f"address add {router_v4}/30 dev {link}")
        lab._ip(node, f"address add {node.v4}/30 dev eth0", f"route add default via {router_v4}")
    if v6:
        lab._ip(lab.internet, f"address add {router_v6}/64 dev {link} nodad")
        lab._ip(node, f"address add {node.v6}/64 dev eth0 nodad", f"route add ::/0 via {router_v6}")
    return node


def drop_fragments(lab: Lab) -> None:
    """Let no fragment pass the internet, as many a firewall and mobile network does."""
    lab.run(lab.internet, ["nft", "-f", "-"], stdin=_NO_FRAGMENTS)


def fragments(lab: Lab) -> int:
    """How many fragments met their end."""
    listing = lab.run(lab.internet, ["nft", "list", "table", "inet", "fragments"]).stdout.split()
    return sum(int(count) for word, count in itertools.pairwise(listing) if word == "packets")


_NO_UDP: Final = """
table inet silence {
  chain leaving {
    type filter hook output priority 0;
    meta l4proto udp drop
  }
}
"""


@contextmanager
def silenced(lab: Lab, node: Node) -> Iterator[None]:
    """Let nothing that a device sends over UDP get out, so no WireGuard either."""
    lab.run(node, ["nft", "-f", "-"], stdin=_NO_UDP)
    try:
        yield
    finally:
        lab.run(node, ["nft", "delete", "table", "inet", "silence"])


@contextmanager
def host_without(lab: Lab, family: int) -> Iterator[Node]:
    """Take one family away from the host, as on a server that was never given any; yields the host as it is now."""
    address, gateway, length = lab.host.v6, GATEWAY_V6, SEGMENT_V6.prefixlen
    if family == 4:
        address, gateway, length = lab.host.v4, GATEWAY_V4, SEGMENT_V4.prefixlen
    default = "0.0.0.0/0" if family == 4 else "::/0"
    lab._ip(lab.host, f"route delete {default} via {gateway} dev eth0", f"address delete {address}/{length} dev eth0")
    try:
        yield dataclasses.replace(lab.host, **{f"v{family}": ""})
    finally:
        suffix = "" if family == 4 else " nodad"
        lab._ip(
            lab.host, f"address add {address}/{length} dev eth0{suffix}", f"route add {default} via {gateway} dev eth0"
        )
