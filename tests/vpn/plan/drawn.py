"""Small hubs that hypothesis draws, with addresses worth asking about, and the plainest way to judge a flow."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterable
from typing import Final

from hypothesis import strategies as st

from vpn.reach.hub import End, Hub
from vpn.wire.reserved import NEVER_V4, NEVER_V6, PRIVATE_V4, PRIVATE_V6
from vpn.wire.rules import ROUTERS, Rule

POOLS: Final = (ipaddress.ip_network("100.64.0.0/28"), ipaddress.ip_network("fd12:3456:789a::/64"))
HUB: Final = ("100.64.0.1/28", "fd12:3456:789a::1/64")
OWN: Final = ("100.64.0.1", "fd12:3456:789a::1")
USERS: Final = [f"user:{uuid.UUID(int=16 + number)}" for number in range(3)]
SITES: Final = [f"site:{uuid.UUID(int=32 + number)}" for number in range(3)]
GROUPS: Final = [f"group:{uuid.UUID(int=48 + number)}" for number in range(2)]
SUBNETS: Final = (
    *("10.1.0.0/24", "10.1.0.128/25", "10.1.0.0/16", "10.0.0.0/8", "192.168.7.0/24", "203.0.113.0/24", "0.0.0.0/0"),
    *("fd00:1::/64", "fd00:1::/48", "2001:db8:7::/48", "::/0"),
)
# Much of the internet: others have networks within these.
WIDE: Final = ("0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3")
NETWORKS: Final = (
    *SUBNETS,
    *WIDE[2:],
    "100.64.0.3/32",
    "100.64.0.0/28",
    "198.51.100.7/32",
    "2001:db8:1::/64",
    "169.254.0.0/16",
)
# One inside each network above and beside it, and those that nobody reaches.
ADDRESSES: Final = (
    *("100.64.0.1", *(f"100.64.0.{host}" for host in range(2, 8)), "fd12:3456:789a::1"),
    *(f"fd12:3456:789a::{host}" for host in range(2, 8)),
    *("10.1.0.7", "10.1.0.200", "10.1.9.9", "10.9.9.9", "192.168.7.7", "203.0.113.7", "198.51.100.7", "198.51.100.8"),
    *("169.254.169.254", "127.0.0.1", "fd00:1::7", "fd00:1:0:9::7", "2001:db8:7::7", "2001:db8:1::7", "2001:db8:9::7"),
    *("fe80::1", "fd00:9::1", "64:ff9b::a01:7"),
)
PORTS: Final = (1, 24, 25, 26, 80, 443, 999, 1000, 1500, 2000, 2001, 65535)
FLOWS: Final = (
    *(("tcp", port) for port in PORTS),
    *(("udp", port) for port in PORTS),
    ("icmp", None),
    ("icmpv6", None),
    ("other", None),
)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NEVER: Final[tuple[_Network, ...]] = (*NEVER_V4, *NEVER_V6)
PRIVATE: Final[tuple[_Network, ...]] = (*PRIVATE_V4, *PRIVATE_V6)

_ends = st.sampled_from(["any", ROUTERS, *USERS, *SITES, *GROUPS, *NETWORKS])
_ports = st.sampled_from([None, (25, 25), (443, 443), (1000, 2000), (80, 1500), (1, 65535)])


@st.composite
def rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    """A few rules, their ids counted."""
    found = []
    for number in range(draw(st.integers(0, 6))):
        protocol = draw(st.sampled_from(["any", "tcp", "udp", "icmp", "icmpv6"]))
        found.append(
            Rule(
                id=str(uuid.UUID(int=1000 + number)),
                action=draw(st.sampled_from(["accept", "drop", "reject"])),
                protocol=protocol,
                ports=draw(_ports) if protocol in ("any", "tcp", "udp") else None,
                source=draw(_ends),
                destination=draw(_ends),
            )
        )
    return tuple(found)


@st.composite
def hubs(draw: st.DrawFn) -> Hub:
    """Up to three devices and three sites, with the addresses that their numbers give them."""
    peers: dict[str, End] = {}
    free = list(SUBNETS)
    for host in range(2, 2 + draw(st.integers(0, 6))):
        own = (f"100.64.0.{host}/32", f"fd12:3456:789a::{host:x}/128")
        if host < 5:
            owner = USERS[draw(st.integers(0, 2))]
            groups = draw(st.lists(st.sampled_from(GROUPS), unique=True))
            peers[str(uuid.UUID(int=host))] = End(own, (owner, *groups))
        else:
            subnets = draw(st.lists(st.sampled_from(free), unique=True, max_size=3)) if free else []
            free = [subnet for subnet in free if subnet not in subnets]
            peers[str(uuid.UUID(int=host))] = End((*own, *subnets), (SITES[host - 5], ROUTERS), own)
    return Hub(addresses=HUB, peers=peers, rules=draw(rules()), allows=draw(st.booleans()))


def principals(hubs: Iterable[Hub]) -> dict[str, str]:
    """Whose each peer of these hubs is: the tag that stands first."""
    return {peer_id: end.tags[0] for hub in hubs for peer_id, end in hub.peers.items()}


def plainly(hub: Hub, source: str, destination: str, protocol: str, port: int | None) -> bool:
    """Whether a flow passes, judged one rule after the other with nothing prepared."""
    sender, receiver = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if sender.version != receiver.version or protocol == {4: "icmpv6", 6: "icmp"}[sender.version]:
        return False
    own = [ipaddress.ip_interface(address).ip for address in hub.addresses]
    if any(end in network for end in (sender, receiver) for network in NEVER) or {
        sender,
        receiver,
    } & set(own):
        return False
    sending, receiving = _owner(hub, sender), _owner(hub, receiver)
    if not sending or receiving == "":
        return False
    decision = next(
        (rule.action == "accept" for rule in hub.rules if _matches(hub, rule, source, destination, protocol, port)),
        None,
    )
    if receiving is not None:
        return hub.allows if decision is None else decision
    if decision is False or (protocol == "tcp" and port == 25):
        return False
    return not any(receiver in network for network in PRIVATE)


def _owner(hub: Hub, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    claims = [
        (ipaddress.ip_network(network), peer_id) for peer_id, end in hub.peers.items() for network in end.networks
    ]
    claims += [(pool, "") for pool in POOLS]
    around = [(network.prefixlen, peer_id) for network, peer_id in claims if address in network]
    return max(around)[1] if around else None


def _matches(hub: Hub, rule: Rule, source: str, destination: str, protocol: str, port: int | None) -> bool:
    if rule.protocol not in ("any", protocol):
        return False
    if rule.ports is not None and (port is None or not rule.ports[0] <= port <= rule.ports[1]):
        return False
    return _is_end(hub, rule.source, source) and _is_end(hub, rule.destination, destination)


def _is_end(hub: Hub, end: str, text: str) -> bool:
    address = ipaddress.ip_address(text)
    if end == "any":
        return True
    if end == ROUTERS:
        return any(address in ipaddress.ip_network(host) for peer in hub.peers.values() for host in peer.hosts)
    if end.split(":", maxsplit=1)[0] in ("user", "site", "group"):
        owner = _owner(hub, address)
        return bool(owner) and end in hub.peers[owner or ""].tags
    return address in ipaddress.ip_network(end)
