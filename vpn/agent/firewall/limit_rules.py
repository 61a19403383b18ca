"""Limits per peer for tracked connections and for new connections a second, as text for nft(8) from a spec.

Every connection is an entry in the kernel's conntrack table: 262,144 for a whole namespace, kept for up to five days.
These rules limit new connections that the firewall has accepted. Packets of tracked ones pass after one lookup.

A device is identified by its tunnel address. All machines behind a router count as one peer: the maps `behind_v4` and
`behind_v6` map a network to the number of its peer. So the table needs no rule per peer.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final

from vpn.agent.firewall import sets as firewall_sets
from vpn.agent.firewall import tracking
from vpn.agent.memory.names import Names
from vpn.wire.intervals import Span, most_specific, span_of, span_of_network
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec

TABLE: Final = "hub_limits"
MAPS: Final = {"behind_v4": 4, "behind_v6": 6}

# New connections a second, per address family. A browser opens some hundred in a minute, so a busy machine stays far
# below. A branch has hundreds of machines. `tracking` limits their number at a time.
_DEVICE_RATE: Final = "limit rate over 200/second burst 500 packets"
_SITE_RATE: Final = "limit rate over 1000/second burst 4000 packets"
# Connections of ICMP and other protocols without ports. A ping sweep makes an entry of 30 s per address, so one machine
# can sweep a /22.
_WITHOUT_PORTS: Final = 1024
# DNS queries a second. A web page with 50 names causes 150 queries at once: A, AAAA and HTTPS.
_DEVICE_QUERIES: Final = "limit rate over 50/second burst 500 packets"
_SITE_QUERIES: Final = "limit rate over 500/second burst 4000 packets"
# DNS connections over TCP. dnsmasq serves twenty at a time (MAX_PROCS).
_DNS_CONNECTIONS: Final = 5

_MOST_PEERS: Final = 65536  # a /16
_MOST_LISTS: Final = 1 << 20  # above this number, new lists are not counted
_RATE_KEPT: Final = "10s"  # how long the rate of a source is kept: longer than any burst lasts

# The first number of a peer, above the packet marks that the firewall uses.
_FIRST_NUMBER: Final = 1 << 16


def body(names: Names, spec: HubSpec) -> str:
    """Return the content of the hub's table, without the elements of its maps."""
    return "".join(_sets()) + _chains(names, spec)


def elements(spec: HubSpec) -> dict[str, frozenset[str]]:
    """Return the elements of the maps by map name, as nft(8) lists them."""
    found: dict[str, set[str]] = {name: set() for name in MAPS}
    for peer_id, span in _behind(spec):
        (text,) = firewall_sets.texts([span])
        found[f"behind_v{span.version}"].add(f"{text} : 0x{number_of(peer_id):08x}")
    return {name: frozenset(each) for name, each in found.items()}


def number_of(peer_id: str) -> int:
    """Return a peer's number: a hash of its id. Two peers with the same number would share their limits."""
    number = int.from_bytes(hashlib.sha256(peer_id.encode()).digest()[:4], "big")
    return max(number, _FIRST_NUMBER)


def has_networks(peers: Mapping[str, Peer]) -> bool:
    """Return True if any peer has networks behind it."""
    return any(peer.routes for peer in peers.values())


def _behind(spec: HubSpec) -> Iterator[tuple[str, Span]]:
    """Yield each peer with the ranges behind it, by longest prefix match and without the pool."""
    routes = [(span_of(route), peer_id) for peer_id, peer in spec.peers.items() for route in peer.routes]
    if not routes:
        return
    pools = [(span_of_network(ipaddress.ip_interface(address).network), "") for address in spec.addresses]
    for peer_id, spans in most_specific([*pools, *routes]).items():
        if peer_id:
            yield from ((peer_id, span) for span in spans)


def _sets() -> list[str]:
    sets = [
        f"\tmap {name} {{\n\t\ttype ipv{family}_addr : mark\n\t\tflags interval\n\t}}\n"
        for name, family in MAPS.items()
    ]
    for family, ip in ((4, "ip"), (6, "ip6")):
        sets += [_rated(f"device_{what}_v{family}", f"{ip} saddr") for what in ("rate", "queries")]
        sets += [_counted(f"device_{what}_v{family}", f"{ip} saddr") for what in ("others", "dns")]
        sets.append(_counted(f"device_flows_v{family}", f"{ip} saddr . {tracking.FLOW_TYPE[family]}"))
        sets.append(_counted(f"site_flows_v{family}", f"meta mark . {tracking.FLOW_TYPE[family]}"))
    sets += [_rated(f"site_{what}", "meta mark") for what in ("rate", "queries")]
    return [*sets, *(_counted(f"site_{what}", "meta mark") for what in ("others", "dns"))]


def _rated(name: str, key: str) -> str:
    return (
        f"\tset {name} {{\n\t\ttypeof {key}\n\t\tsize {_MOST_PEERS}\n\t\tflags dynamic,timeout\n"
        f"\t\ttimeout {_RATE_KEPT}\n\t}}\n"
    )


def _counted(name: str, key: str) -> str:
    return f"\tset {name} {{\n\t\ttypeof {key}\n\t\tsize {_MOST_LISTS}\n\t\tflags dynamic\n\t}}\n"


def _chains(names: Names, spec: HubSpec) -> str:
    tunnels = "{{ {} }}".format(", ".join(f'"{name}"' for name in names.tunnels))
    chains = {"forward": _forward(tunnels), "site_forward": _site_forward()}
    if spec.resolver is not None:
        chains |= {"input": _input(tunnels), "site_input": _SITE_INPUT}
    return "".join(
        f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"
        for name, lines in _called_first(chains).items()
    )


def _forward(tunnels: str) -> list[str]:
    most, others = f"ct count over {tracking.list_of_device()}", f"ct count over {_WITHOUT_PORTS}"
    return [
        # After the firewall, so that dropped packets are not counted.
        _hook("forward"),
        "ct status confirmed accept",
        f"iifname != {tunnels} accept",
        *_of_sites("site_forward"),
        *_by_address(f"update @device_rate_FAMILY {{ SOURCE {_DEVICE_RATE} }} drop"),
        *_by_address(f"{tracking.WITH_PORTS} add @device_flows_FAMILY {{ SOURCE . FLOW {most} }} drop"),
        *_by_address(f"{tracking.WITHOUT_PORTS} add @device_others_FAMILY {{ SOURCE {others} }} drop"),
    ]


def _site_forward() -> list[str]:
    most, others = f"ct count over {tracking.list_of_site()}", f"ct count over {4 * _WITHOUT_PORTS}"
    return [
        f"update @site_rate {{ meta mark {_SITE_RATE} }} drop",
        *_by_address(f"{tracking.WITH_PORTS} add @site_flows_FAMILY {{ meta mark . FLOW {most} }} drop"),
        f"{tracking.WITHOUT_PORTS} add @site_others {{ meta mark {others} }} drop",
    ]


def _input(tunnels: str) -> list[str]:
    connections = f"{{ SOURCE ct count over {_DNS_CONNECTIONS} }} reject with tcp reset"
    return [
        _hook("input"),
        f"iifname != {tunnels} accept",
        "th dport != 53 accept",
        *_of_sites("site_input"),
        *_by_address(f"meta l4proto udp update @device_queries_FAMILY {{ SOURCE {_DEVICE_QUERIES} }} drop"),
        *_by_address(f"meta l4proto tcp ct state new add @device_dns_FAMILY {connections}"),
    ]


_SITE_DNS: Final = f"add @site_dns {{ meta mark ct count over {2 * _DNS_CONNECTIONS} }} reject with tcp reset"
_SITE_INPUT: Final = [
    f"meta l4proto udp update @site_queries {{ meta mark {_SITE_QUERIES} }} drop",
    f"meta l4proto tcp ct state new {_SITE_DNS}",
]


def _called_first(chains: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the chains sorted so that each is defined before a rule jumps to it."""
    return dict(sorted(chains.items(), key=lambda item: not item[0].startswith("site_")))


def _hook(hook: str) -> str:
    return f"type filter hook {hook} priority filter + 10; policy accept;"


def _of_sites(chain: str) -> list[str]:
    """Return the rules that send traffic from behind a router to `chain`, with the peer's number as packet mark.

    If the map has no entry, the rule does not match. The firewall no longer needs the packet mark at this point.
    """
    return [
        f"meta mark set ip saddr map @behind_v4 goto {chain}",
        f"meta mark set ip6 saddr map @behind_v6 goto {chain}",
    ]


def _by_address(rule: str) -> list[str]:
    return [
        rule.replace("FAMILY", f"v{family}").replace("SOURCE", f"{ip} saddr").replace("FLOW", tracking.FLOW[family])
        for family, ip in ((4, "ip"), (6, "ip6"))
    ]
