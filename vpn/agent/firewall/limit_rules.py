"""How many connections a hub's peers may have tracked, and open in a second: pure text for nft(8) from a spec.

Every connection is an entry in a table of the kernel's: 262,144 for a whole namespace, kept for up to five days. What
is not tracked yet is limited here, once the firewall has let it pass; what is tracked passes by one look.

A device is known by its address. The machines behind a router count as one peer, whatever their addresses: `behind_v4`
and `behind_v6` say by a network which peer that is, as a number. So there is no rule for a single peer.
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

# Far above what a busy machine does: a browser opens some hundred connections in a minute, a file sharer has a
# thousand (how many: see `tracking`). A branch is hundreds of machines. Each family counts by itself.
_DEVICE_PACE: Final = "limit rate over 200/second burst 500 packets"
_SITE_PACE: Final = "limit rate over 1000/second burst 4000 packets"
# Of ICMP and other protocols. Each echo of a sweep is a connection that is remembered for 30 s: a /22 is one machine's.
_WITHOUT_PORTS: Final = 1024
# A page with 50 names asks 150 questions at once: for A, AAAA and HTTPS.
_DEVICE_QUESTIONS: Final = "limit rate over 50/second burst 500 packets"
_SITE_QUESTIONS: Final = "limit rate over 500/second burst 4000 packets"
# dnsmasq answers twenty connections at a time (MAX_PROCS).
_DNS_CONNECTIONS: Final = 5

_MOST_PEERS: Final = 65536  # a /16
_MOST_LISTS: Final = 1 << 20  # beyond so many, new ones are not counted
_PACED_FOR: Final = "10s"  # how long a pace is remembered, longer than any burst lasts

# Numbers of peers begin above those that the firewall marks packets with.
_FIRST_NUMBER: Final = 1 << 16


def body(names: Names, spec: HubSpec) -> str:
    """Return the content of the hub's table, without the elements of its maps."""
    return "".join(_sets()) + _chains(names, spec)


def elements(spec: HubSpec) -> dict[str, frozenset[str]]:
    """Return the elements of the maps by their names, as nft(8) lists them."""
    found: dict[str, set[str]] = {name: set() for name in MAPS}
    for peer_id, span in _behind(spec):
        (text,) = firewall_sets.texts([span])
        found[f"behind_v{span.version}"].add(f"{text} : 0x{number_of(peer_id):08x}")
    return {name: frozenset(each) for name, each in found.items()}


def number_of(peer_id: str) -> int:
    """Return the number of a peer with networks behind it. In a blue moon two share one, and so their limits."""
    number = int.from_bytes(hashlib.sha256(peer_id.encode()).digest()[:4], "big")
    return max(number, _FIRST_NUMBER)


def has_networks(peers: Mapping[str, Peer]) -> bool:
    """Return whether a peer has networks behind it."""
    return any(peer.routes for peer in peers.values())


def _behind(spec: HubSpec) -> Iterator[tuple[str, Span]]:
    """Yield by peer what is behind it: of nested networks the narrowest counts, and of the pool nothing."""
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
        sets += [_paced(f"device_{what}_v{family}", f"{ip} saddr") for what in ("pace", "questions")]
        sets += [_counted(f"device_{what}_v{family}", f"{ip} saddr") for what in ("others", "dns")]
        sets.append(_counted(f"device_flows_v{family}", f"{ip} saddr . {tracking.FLOW_TYPE[family]}"))
        sets.append(_counted(f"site_flows_v{family}", f"meta mark . {tracking.FLOW_TYPE[family]}"))
    sets += [_paced(f"site_{what}", "meta mark") for what in ("pace", "questions")]
    return [*sets, *(_counted(f"site_{what}", "meta mark") for what in ("others", "dns"))]


def _paced(name: str, key: str) -> str:
    return (
        f"\tset {name} {{\n\t\ttypeof {key}\n\t\tsize {_MOST_PEERS}\n\t\tflags dynamic,timeout\n"
        f"\t\ttimeout {_PACED_FOR}\n\t}}\n"
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
        # Behind the firewall, so that what it drops counts nowhere.
        _hook("forward"),
        "ct status confirmed accept",
        f"iifname != {tunnels} accept",
        *_of_sites("site_forward"),
        *_by_address(f"update @device_pace_FAMILY {{ SOURCE {_DEVICE_PACE} }} drop"),
        *_by_address(f"{tracking.WITH_PORTS} add @device_flows_FAMILY {{ SOURCE . FLOW {most} }} drop"),
        *_by_address(f"{tracking.WITHOUT_PORTS} add @device_others_FAMILY {{ SOURCE {others} }} drop"),
    ]


def _site_forward() -> list[str]:
    most, others = f"ct count over {tracking.list_of_site()}", f"ct count over {4 * _WITHOUT_PORTS}"
    return [
        f"update @site_pace {{ meta mark {_SITE_PACE} }} drop",
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
        *_by_address(f"meta l4proto udp update @device_questions_FAMILY {{ SOURCE {_DEVICE_QUESTIONS} }} drop"),
        *_by_address(f"meta l4proto tcp ct state new add @device_dns_FAMILY {connections}"),
    ]


_SITE_DNS: Final = f"add @site_dns {{ meta mark ct count over {2 * _DNS_CONNECTIONS} }} reject with tcp reset"
_SITE_INPUT: Final = [
    f"meta l4proto udp update @site_questions {{ meta mark {_SITE_QUESTIONS} }} drop",
    f"meta l4proto tcp ct state new {_SITE_DNS}",
]


def _called_first(chains: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return chains in such an order that each is there before a rule names it."""
    return dict(sorted(chains.items(), key=lambda item: not item[0].startswith("site_")))


def _hook(hook: str) -> str:
    return f"type filter hook {hook} priority filter + 10; policy accept;"


def _of_sites(chain: str) -> list[str]:
    """Return the rules that send what comes from behind a router to `chain`, with the number of the peer as its mark.

    A lookup that finds nothing ends the rule. The firewall has used the packet's own mark by then.
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
