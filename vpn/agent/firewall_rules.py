"""What the hub's table says: pure text for nft(8) from a spec.

A flow that was let through is marked with the number of the present generation and with the interfaces that it was
judged on, and passes by one lookup from then on. A change of rules, of what tags mean or of routes takes a new number:
each flow is then judged again at its next packet, by the direction in which it was opened (`ct original`), so that what
is no longer allowed ends at once and what is allowed goes on.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from vpn.agent import firewall_sets
from vpn.agent.firewall_sets import AddressSet
from vpn.agent.names import Names
from vpn.agent.reserved import NEVER_V4, NEVER_V6, PRIVATE_V4, PRIVATE_V6
from vpn.agent.rules import ANY, WITH_PORTS, Rule
from vpn.agent.spec import ALLOW, HubSpec

CURRENT: Final = "current"
BINDING: Final = "binding"
# A packet of a flow that was let through already, for the rest of its way.
_KNOWN: Final = "0x00000001"

_IPV4_TCP_HEADERS: Final = 40
_IPV6_TCP_HEADERS: Final = 60
_VERDICTS: Final = {"accept": "goto permitted", "drop": "drop", "reject": "goto refuse"}


@dataclass(frozen=True)
class Table:
    """The content of a table: sets, the names of counters, chains (with the line of their hook, or none)."""

    sets: dict[str, AddressSet]
    counters: tuple[str, ...]
    chains: dict[str, tuple[str, list[str]]]
    maps: str = field(default="")

    @property
    def text(self) -> str:
        """All of it but the elements of sets: what must be loaded anew when it differs."""
        sets = "".join(f"{name} {each.declaration}" for name, each in self.sets.items())
        return sets + self.maps + " ".join(self.counters) + chains_text(self.chains)


def table(names: Names, spec: HubSpec) -> Table:
    """Return the content of the hub's table."""
    sets = _fixed_sets(spec) | firewall_sets.of_tags(firewall_sets.tags_of(spec.rules), spec.peers)
    return Table(sets, tuple(counter_name(rule.id) for rule in spec.rules), _chains(names, spec), MAPS)


def chains_text(chains: dict[str, tuple[str, list[str]]]) -> str:
    """Return chains as they are written."""
    return "".join(
        f"\tchain {name} {{\n{hook}{''.join(f'		{rule}' + chr(10) for rule in rules)}\t}}\n"
        for name, (hook, rules) in chains.items()
    )


def counter_name(rule_id: str) -> str:
    """Return the name of a rule's counter."""
    return f"rule_{rule_id.replace('-', '')}"


# Generations.

MAPS: Final = f"""\
	set {CURRENT} {{
		typeof ct mark . ct direction . iifname
	}}
	map {BINDING} {{
		typeof iifname . oifname : meta mark
	}}
"""


def new_generation() -> int:
    """Return a number that no flow carries yet."""
    return secrets.randbelow(2**24 - 2) + 1


def generation_elements(names: Names, number: int) -> dict[str, frozenset[str]]:
    """Return the elements of `current` and `binding` in a generation, as nft(8) lists them.

    `binding` has the mark of a flow by the interfaces that it was opened through, `current` where packets with that
    mark may come from.
    """
    current, binding = [], []
    pairs = [(source, way) for source in names.tunnels for way in (*names.tunnels, names.uplink)]
    for index, (source, way) in enumerate(pairs):
        mark = f"0x{(number << 8) + index:08x}"
        binding.append(f'"{source}" . "{way}" : {mark}')
        current += [f'{mark} . original . "{source}"', f'{mark} . reply . "{way}"']
    return {CURRENT: frozenset(current), BINDING: frozenset(binding)}


def generation_of(binding: Iterable[str]) -> int:
    """Return the number that the elements of `binding` are made of, 0 for none."""
    return next((int(element.rpartition(" ")[2], 16) >> 8 for element in binding), 0)


# Chains.


def _fixed_sets(spec: HubSpec) -> dict[str, AddressSet]:
    forged = _never_a_source(spec)
    networks = {"never": (NEVER_V4, NEVER_V6), "private": (PRIVATE_V4, PRIVATE_V6), "forged": (forged[4], forged[6])}
    return {
        f"{name}_v{family}": AddressSet(family, True, firewall_sets.merged(each, family))
        for name, pair in networks.items()
        for family, each in zip(firewall_sets.FAMILIES, pair, strict=True)
    }


def _never_a_source(spec: HubSpec) -> dict[int, list[object]]:
    """Return what nobody sends from: the hub's own addresses, and the first and the last of an IPv4 pool."""
    sources: dict[int, list[object]] = {4: list(NEVER_V4), 6: list(NEVER_V6)}
    for text in spec.addresses:
        interface = ipaddress.ip_interface(text)
        ends = {interface.ip}
        if isinstance(interface, ipaddress.IPv4Interface) and interface.network.prefixlen < 31:
            ends |= {interface.network.network_address, interface.network.broadcast_address}
        sources[interface.version] += [f"{end}/{interface.max_prefixlen}" for end in sorted(ends, key=int)]
    return sources


def _chains(names: Names, spec: HubSpec) -> dict[str, tuple[str, list[str]]]:
    uplink = f'"{names.uplink}"'
    # Those of OpenVPN are named before they are there: no packet comes through one without these rules.
    tunnels = "{{ {} }}".format(", ".join(f'"{name}"' for name in names.tunnels))
    asked, asking = _resolver(names, spec)
    between_peers = "goto allowed" if spec.forwarding == ALLOW else "drop"
    known = f"ct mark . ct direction . iifname @{CURRENT}"
    return {
        # After conntrack, whose marks it reads.
        "prerouting": (
            _hook("prerouting", "mangle", "accept"),
            [
                # Judged by these interfaces, so that no look at the routes is needed. An error about a flow names its
                # sender nowhere in the flow.
                f"ct state != related {known} meta mark set {_KNOWN} accept",
                f"iifname != {tunnels} accept",
                "ip saddr @forged_v4 drop",
                "ip daddr @never_v4 drop",
                "ip6 saddr @forged_v6 drop",
                "ip6 daddr @never_v6 drop",
                "fib saddr . iif oif missing drop",
            ],
        ),
        "input": (
            _hook("input", "filter", "drop"),
            [
                'iifname "lo" accept',
                f"iifname {uplink} icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept",
                "ct state invalid drop",
                "ct state established,related accept",
                *_ping(tunnels, spec),
                *asked,
            ],
        ),
        "forward": (
            _hook("forward", "filter", "drop"),
            [
                "tcp flags & (syn | rst) == syn jump clamp",
                f"meta mark {_KNOWN} accept",
                f"ct state related {known} accept",
                "ct state invalid,related,untracked drop",
                # First of all: a flow that is judged while things change gets the mark of before, and is judged again.
                f"ct direction original meta mark set iifname . oifname map @{BINDING}",
                f"ct direction reply meta mark set oifname . iifname map @{BINDING}",
                f"ct direction original iifname {tunnels} goto judge",
                f"ct direction reply oifname {tunnels} goto judge",
            ],
        ),
        "judge": (
            "",
            [
                "meta nfproto ipv4 jump rules_v4",
                "meta nfproto ipv6 jump rules_v6",
                f"oifname {uplink} goto outwards",
                f"iifname {uplink} goto outwards",
                between_peers,
            ],
        ),
        **{f"rules_v{family}": ("", _rules(spec.rules, family)) for family in firewall_sets.FAMILIES},
        "permitted": ("", [f"oifname {uplink} goto outwards", f"iifname {uplink} goto outwards", "goto allowed"]),
        "outwards": (
            "",
            [
                "ct original ip daddr @private_v4 drop",
                "ct original ip6 daddr @private_v6 drop",
                "meta l4proto tcp ct original proto-dst 25 drop",
                "goto allowed",
            ],
        ),
        "allowed": ("", ["ct mark set meta mark accept"]),
        "refuse": (
            "",
            [f"iifname {uplink} drop", "meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"],
        ),
        "clamp": (
            "",
            [
                f"meta nfproto ipv4 tcp option maxseg size set {spec.mtu - _IPV4_TCP_HEADERS}",
                f"meta nfproto ipv6 tcp option maxseg size set {spec.mtu - _IPV6_TCP_HEADERS}",
            ],
        ),
        "output": (
            _hook("output", "filter", "drop"),
            [
                'oifname "lo" accept',
                f"oifname {uplink} icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept",
                *_silence(names, spec),
                f"oifname {tunnels} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} accept",
                (
                    f"oifname {tunnels} icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded,"
                    " parameter-problem } accept"
                ),
                "ct state established,related accept",
                *asking,
            ],
        ),
    }


def _hook(hook: str, priority: str, policy: str) -> str:
    return f"\t\ttype filter hook {hook} priority {priority}; policy {policy};\n"


def _ping(tunnels: str, spec: HubSpec) -> list[str]:
    own = [ipaddress.ip_interface(address).ip for address in spec.addresses]
    return [
        f"iifname {tunnels} ip daddr {address} icmp type echo-request accept"
        if address.version == 4
        else f"iifname {tunnels} ip6 daddr {address} icmpv6 type echo-request accept"
        for address in own
    ]


def _resolver(names: Names, spec: HubSpec) -> tuple[list[str], list[str]]:
    """Return the rules for queries that the hub's resolver is asked, and for those that it asks itself."""
    if spec.resolver is None:
        return [], []
    dns = "meta l4proto { tcp, udp } th dport 53 accept"
    tunnels = ", ".join(f'"{name}"' for name in names.tunnels)
    own = [str(ipaddress.ip_interface(address).ip) for address in spec.addresses]
    servers = dict.fromkeys((*spec.resolver.upstreams, *spec.resolver.domain_servers))
    asked = [f"iifname {{ {tunnels} }} {_daddr(address)} {dns}" for address in own]
    # Also into a tunnel: a site may be the way to everything.
    asking = [f'oifname {{ {tunnels}, "{names.uplink}" }} {_daddr(address)} {dns}' for address in servers]
    return asked, asking


def _silence(names: Names, spec: HubSpec) -> list[str]:
    """Return the rules that keep the hub from refusing questions: while its resolver starts anew they are asked again.

    Stub resolvers that are refused give up at once.
    """
    if spec.resolver is None:
        return []
    tunnels = ", ".join(f'"{name}"' for name in names.tunnels)
    own = [str(ipaddress.ip_interface(address).ip) for address in spec.addresses]
    return [
        f"oifname {{ {tunnels} }} meta l4proto {{ icmp, ipv6-icmp }} ct original {_daddr(address)}"
        " ct original proto-dst 53 drop"
        for address in own
    ]


def _daddr(address: str) -> str:
    return f"{'ip6' if ':' in address else 'ip'} daddr {address}"


# Rules of the spec.


def _rules(rules: Iterable[Rule], family: int) -> list[str]:
    return [line for rule in rules for line in _rule(rule, family)]


def _rule(rule: Rule, family: int) -> list[str]:
    """Return a rule for packets of one family, nothing where it cannot match any."""
    source, destination = _end(rule.source, "saddr", family), _end(rule.destination, "daddr", family)
    if source is None or destination is None:
        return []
    verdict = f'counter name "{counter_name(rule.id)}" {_VERDICTS[rule.action]}'
    return [" ".join(filter(None, (protocol, source, destination, verdict))) for protocol in _protocols(rule, family)]


def _end(end: str, side: str, family: int) -> str | None:
    keyword = "ip" if family == 4 else "ip6"
    if end == ANY:
        return ""
    if "/" not in end:
        return f"ct original {keyword} {side} @{firewall_sets.set_name(end, family)}"
    if (":" in end) != (family == 6):
        return None
    # Everything of the family, which the chain is for anyway.
    return "" if end.endswith("/0") else f"ct original {keyword} {side} {end}"


def _protocols(rule: Rule, family: int) -> list[str]:
    if rule.protocol in WITH_PORTS:
        protocols = ["tcp", "udp"] if rule.protocol == ANY else [rule.protocol]
        if rule.ports is not None:
            first, last = rule.ports
            ports = str(first) if first == last else f"{first}-{last}"
            # One rule each: nft 1.0.6 knows the type of the port of one protocol alone.
            return [f"meta l4proto {protocol} ct original proto-dst {ports}" for protocol in protocols]
        return [""] if rule.protocol == ANY else [f"meta l4proto {rule.protocol}"]
    if (rule.protocol == "icmp") != (family == 4):
        return []
    return [f"meta l4proto {rule.protocol}"]
