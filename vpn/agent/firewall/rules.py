"""The content of the hub's table, as text for nft(8) from a spec.

An accepted flow gets a conntrack mark: the number of the current rules, and its interfaces. Its later packets pass
after one lookup. When rules, tags or routes change, a new number makes all marks outdated. Each flow is then evaluated
again at its next packet, by its original direction (`ct original`). So a flow that is no longer allowed ends at once,
and others continue.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vpn.agent.firewall import chains as firewall_chains
from vpn.agent.firewall import exits
from vpn.agent.firewall import sets as firewall_sets
from vpn.agent.firewall.chains import Chain
from vpn.agent.firewall.flow_marks import MAPS
from vpn.agent.firewall.sets import AddressSet
from vpn.agent.memory.names import Names
from vpn.wire.peers import uses_exit
from vpn.wire.reserved import NEVER_V4, NEVER_V6, PRIVATE_V4, PRIVATE_V6
from vpn.wire.rules import ANY, WITH_PORTS, Rule
from vpn.wire.server_side import of_family
from vpn.wire.spec import HubSpec

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_VERDICTS: Final = {"accept": "goto allowed", "drop": "drop", "reject": "goto refuse"}


@dataclass(frozen=True)
class Table:
    """The content of a table: sets, names of counters, and chains (with their hook lines)."""

    sets: dict[str, AddressSet]
    counters: tuple[str, ...]
    chains: dict[str, Chain]
    maps: str = MAPS

    @property
    def text(self) -> str:
        """The table without set elements. If this differs, the table must be loaded again."""
        sets = "".join(f"{name} {each.declaration}" for name, each in self.sets.items())
        return sets + self.maps + " ".join(self.counters) + chains_text(self.chains)


def table(names: Names, spec: HubSpec) -> Table:
    """Return the content of the hub's table."""
    sets = _fixed_sets(spec) | firewall_sets.of_tags(firewall_sets.tags_of(spec.rules), spec.peers)
    if uses_exit(spec.peers.values()):
        sets |= exits.sets(spec.peers.values())
    rules = {family: _rules(spec.rules, family) for family in firewall_sets.FAMILIES}
    counters = tuple(counter_name(rule.id) for rule in spec.rules)
    return Table(sets, counters, firewall_chains.chains(names, spec, rules))


def chains_text(chains: dict[str, Chain]) -> str:
    """Return chains in nft syntax."""
    lines = []
    for name, (hook, rules) in chains.items():
        lines += [f"\tchain {name} {{\n{hook}", *(f"\t\t{rule}\n" for rule in rules), "\t}\n"]
    return "".join(lines)


def counter_name(rule_id: str) -> str:
    """Return the name of a rule's counter."""
    return f"rule_{rule_id.replace('-', '')}"


def _fixed_sets(spec: HubSpec) -> dict[str, AddressSet]:
    forged = _never_a_source(spec)
    opened = [of_family(spec.server.networks, family) for family in firewall_sets.FAMILIES]
    own = [of_family(spec.server.addresses, family) for family in firewall_sets.FAMILIES]
    networks = {
        "never": (_without_pools(NEVER_V4, spec), _without_pools(NEVER_V6, spec)),
        "private": (PRIVATE_V4, PRIVATE_V6),
        "forged": (forged[4], forged[6]),
        "opened": (opened[0], opened[1]),
        "server": ([f"{address}/32" for address in own[0]], [f"{address}/128" for address in own[1]]),
    }
    return {
        f"{name}_v{family}": AddressSet(family, True, firewall_sets.merged(each))
        for name, pair in networks.items()
        for family, each in zip(firewall_sets.FAMILIES, pair, strict=True)
    }


def _never_a_source(spec: HubSpec) -> dict[int, list[object]]:
    """Return addresses that no peer may use as source: the hub's own, and the first and last of an IPv4 pool."""
    sources: dict[int, list[object]] = {4: _without_pools(NEVER_V4, spec), 6: _without_pools(NEVER_V6, spec)}
    for text in spec.addresses:
        interface = ipaddress.ip_interface(text)
        ends = {interface.ip}
        if isinstance(interface, ipaddress.IPv4Interface) and interface.network.prefixlen < 31:
            ends |= {interface.network.network_address, interface.network.broadcast_address}
        sources[interface.version] += [f"{end}/{interface.max_prefixlen}" for end in sorted(ends, key=int)]
    return sources


def _without_pools(networks: Iterable[_Network], spec: HubSpec) -> list[object]:
    """Return `networks` without those inside the hub's pools: in an older pool, 100.100.100.200 may be a peer."""
    pools = [ipaddress.ip_interface(address).network for address in spec.addresses]
    return [one for one in networks if not any(one.version == p.version and one.subnet_of(p) for p in pools)]  # type: ignore[arg-type]


# Rules of the spec.


def _rules(rules: Iterable[Rule], family: int) -> list[str]:
    return [line for rule in rules for line in _rule(rule, family)]


def _rule(rule: Rule, family: int) -> list[str]:
    """Return a rule for one address family; empty if it cannot match in that family."""
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
    # A /0 matches the whole family, and the chain is for one family only.
    return "" if end.endswith("/0") else f"ct original {keyword} {side} {end}"


def _protocols(rule: Rule, family: int) -> list[str]:
    if rule.protocol in WITH_PORTS:
        protocols = ["tcp", "udp"] if rule.protocol == ANY else [rule.protocol]
        if rule.ports is not None:
            first, last = rule.ports
            ports = str(first) if first == last else f"{first}-{last}"
            # One rule per protocol: nft 1.0.6 needs one protocol to know the type of `proto-dst`.
            return [f"meta l4proto {protocol} ct original proto-dst {ports}" for protocol in protocols]
        return [""] if rule.protocol == ANY else [f"meta l4proto {rule.protocol}"]
    if (rule.protocol == "icmp") != (family == 4):
        return []
    return [f"meta l4proto {rule.protocol}"]
