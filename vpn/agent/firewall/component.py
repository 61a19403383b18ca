"""Access control from the first packet on: `table inet hub` in the hub's namespace.

AllowedIPs is routing, not access control, so this table controls access. `rules` describes how.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Final

from vpn.agent.firewall import delta as firewall_delta
from vpn.agent.firewall import flow_marks, tracking
from vpn.agent.firewall import rules as firewall_rules
from vpn.agent.firewall import script as firewall_script
from vpn.agent.firewall.flow_marks import BINDING, CURRENT
from vpn.agent.firewall.nesting import holds_others
from vpn.agent.firewall.rules import Table
from vpn.agent.firewall.script import TABLE
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import Names
from vpn.agent.network import namespace
from vpn.agent.system import command, nft, nft_listing, sysctl
from vpn.agent.system.command import Result
from vpn.agent.system.nft_listing import Listing
from vpn.wire import codes
from vpn.wire.errors import AgentError
from vpn.wire.finding import Finding
from vpn.wire.peers import Peer, uses_exit
from vpn.wire.reserved import PRIVATE_V4, PRIVATE_V6
from vpn.wire.spec import DENY, HubSpec

_SETTINGS: Final = {
    # A blocked TCP flow must not be picked up again in its middle.
    "net.netfilter.nf_conntrack_tcp_loose": "0",
    # Packets from a tunnel come without a checked checksum, and to check it reads each whole. The receiver checks it.
    "net.netfilter.nf_conntrack_checksum": "0",
    **tracking.TIMEOUTS,
}

# Above this number of networks, flushing the conntrack table is cheaper than one deletion for each.
_MOST_DELETIONS: Final = 200

_FLOW: Final = re.compile(r"^[^=\n]*src=(\S+) dst=(\S+)", re.MULTILINE)


def ensure(hub: Hub, spec: HubSpec) -> bool:
    """Make the hub's firewall match `spec`; return True if it changed."""
    names = hub.names
    changed = _ensure_table(names, firewall_rules.table(names, spec), hub.fingerprints, hub.lacks_table(TABLE))
    # After the table is loaded: these settings exist only once connection tracking is active.
    return sysctl.ensure(names.inside, _SETTINGS) or changed


def change(hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Update the sets for peers that changed from `before` to `after` in `spec`; return True if a set changed."""
    if uses_exit((*before.values(), *after.values())):
        return ensure(hub, spec)
    delta = firewall_delta.of(spec, before, after)
    if delta is None or _nests(spec, before, after):
        return ensure(hub, spec)
    if not delta.is_empty:
        script = firewall_script.changed(delta.removed, delta.added)
        try:
            nft.run(hub.names.inside, script + firewall_script.remarked(_new_flow_marks(hub.names)))
        except AgentError:
            # Another program changed the sets: compare the whole table.
            return ensure(hub, spec)
    return not delta.is_empty


def _nests(spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Return True if the change of routes affects how sources are checked (see `holds_others`)."""
    if not any(peer.routes for peer in (*before.values(), *after.values())):
        return False
    former = firewall_delta.former_peers(spec.peers, before, after)
    return any(holds_others(spec.addresses, peers.values()) for peers in (former, spec.peers))


def depends_on_interfaces(spec: HubSpec) -> bool:
    """Return True if any rule depends on the interface through which a network is reached."""
    return bool(spec.rules) or spec.forwarding == DENY


def reevaluate_flows(hub: Hub, spec: HubSpec) -> None:
    """Evaluate every flow again at its next packet, for example after routes have changed."""
    try:
        nft.run(hub.names.inside, firewall_script.remarked(_new_flow_marks(hub.names)))
    except AgentError:
        # Another program changed the table: repairing it does the same.
        ensure(hub, spec)


def remove(hub: Hub) -> bool:
    """Delete the table; return True if there was one. Deleting the hub's namespace deletes it too."""
    return hub.names.inside.try_run([nft.PROGRAM, "delete", "table", "inet", TABLE]).code == 0


def is_alive(hub: Hub) -> bool:
    """Return True if the hub's namespace exists: it holds the rules. `drift` compares them."""
    return namespace.exists(hub.names.netns)


def hits(names: Names, spec: HubSpec) -> dict[str, int]:
    """Return the packet counter of each rule by its id.

    A rule that allows counts the first packet of each flow; a rule that denies counts every packet.
    """
    found = _counted(names) if spec.rules else {}
    if not found:
        return {}
    return {rule.id: found.get(firewall_rules.counter_name(rule.id), (0, 0))[0] for rule in spec.rules}


def drift(names: Names, spec: HubSpec, fingerprints: Mapping[str, str], *, thorough: bool = False) -> list[Finding]:
    """Return how the hub's firewall differs from `spec`; empty if it is as loaded.

    Lists the table without set elements: about 0.2 ms of CPU time per rule, whatever the number of peers. `thorough`
    compares the elements too: about half as much again with 10,000 peers in rules.
    """
    result = _list(names, terse=not thorough)
    if result.code != 0:
        return [codes.FIREWALL_TABLE_MISSING.of()]
    there = nft_listing.parse(result.out)
    wanted = firewall_rules.table(names, spec)
    found = []
    if fingerprints.get(TABLE) != nft.fingerprint(wanted.text, there.structure):
        found = _differences(wanted, there) or [codes.FIREWALL_TABLE_CHANGED.of()]
    if thorough:
        found += [codes.FIREWALL_SET_CHANGED.of(name) for name in _foreign(names, wanted, there)]
    return found


def end_flows(names: Names, networks: Collection[str]) -> None:
    """Delete the flows of networks that a peer no longer has, so that the next owner gets no old replies."""
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        given_up = [ipaddress.ip_network(network) for network in networks if mark in network]
        # Each deletion scans the host's whole conntrack table, so first list it once to skip unused networks.
        ends = _ends_of_flows(names, family) if given_up else set()
        concerned = [network for network in given_up if any(end in network for end in ends)]
        if len(concerned) > _MOST_DELETIONS:
            _conntrack(names, ["-F", "-f", family])
            continue
        for network in concerned:
            for direction in ("--orig-src", "--orig-dst"):
                _conntrack(names, ["-D", "-f", family, direction, str(network)])


def end_flows_outside(names: Names, addresses: Collection[str]) -> None:
    """Delete the flows of these clients (networks of one address) to the internet: they leave another way from now on.

    Their flows within the tunnels go on.
    """
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        own = {network.partition("/")[0] for network in addresses if mark in network}
        pairs = set(_FLOW.findall(_conntrack(names, ["-L", "-f", family]))) if own else set()
        outside = [pair for pair in pairs if pair[0] in own and not _is_private(pair[1])]
        if len(outside) > _MOST_DELETIONS:
            outside = []
            for address in own:
                _conntrack(names, ["-D", "-f", family, "--orig-src", address])
        for source, destination in outside:
            _conntrack(names, ["-D", "-f", family, "--orig-src", source, "--orig-dst", destination])


def _is_private(address: str) -> bool:
    if ":" in address:
        return any(ipaddress.IPv6Address(address) in network for network in PRIVATE_V6)
    return any(ipaddress.IPv4Address(address) in network for network in PRIVATE_V4)


def _ensure_table(names: Names, wanted: Table, fingerprints: dict[str, str], is_new: bool) -> bool:
    if not is_new and nft.is_meant(TABLE, wanted.text, fingerprints):
        result = _list(names)
        there = nft_listing.parse(result.out)
        if result.code == 0 and fingerprints[TABLE] == nft.fingerprint(wanted.text, there.structure):
            return _ensure_elements(names, wanted, there)
    for load in (_load,) if is_new else (_renew, _replace):
        if not load(names, wanted):
            continue
        there = nft_listing.parse(_list(names, terse=True).out)
        if leftover := firewall_script.tidied(wanted, there):
            nft.run(names.inside, leftover)
            there = nft_listing.parse(_list(names, terse=True).out)
        if there.declarations.keys() == wanted.sets.keys() | {CURRENT, BINDING}:
            break
    fingerprints[TABLE] = nft.fingerprint(wanted.text, there.structure)
    return True


def _ensure_elements(names: Names, wanted: Table, there: Listing) -> bool:
    foreign = _foreign(names, wanted, there)
    if foreign:
        sets = [name for name in foreign if name in wanted.sets]
        remarked = firewall_script.remarked(_new_flow_marks(names))
        try:
            nft.run(names.inside, firewall_script.corrected(wanted, there, sets) + remarked)
        except AgentError:
            # Another program's elements have more to them, for example a timeout.
            everything = {name: wanted.sets[name].elements for name in sets}
            nft.run(names.inside, firewall_script.replaced(everything) + remarked)
    return bool(foreign)


def _renew(names: Names, wanted: Table) -> bool:
    """Replace the rules and sets inside the existing table; return False if that is not possible."""
    # Not `list sets table`: nft 1.0.6 lists the sets of all tables for it.
    there = nft_listing.parse(_list(names).out)
    if not {CURRENT, BINDING} <= there.declarations.keys():
        return False
    try:
        # Before the rules that name them: newer kernels show the ranges of a new set a moment after the transaction.
        if new := firewall_script.new_sets(wanted, there):
            nft.run(names.inside, new)
        nft.run(names.inside, firewall_script.renewed(wanted, _new_flow_marks(names), there))
    except AgentError:
        # The existing table cannot be updated, for example because a chain has another hook.
        return False
    return True


def _load(names: Names, wanted: Table) -> bool:
    """Load the table into a namespace that has none."""
    nft.run(names.inside, firewall_script.whole(wanted, _new_flow_marks(names), {}, there=False))
    return True


def _replace(names: Names, wanted: Table) -> bool:
    """Load the whole table, in place of an existing one."""
    there = "No such file" not in _list(names, terse=True).err
    hits = _counted(names) if there else {}
    nft.run(names.inside, firewall_script.whole(wanted, _new_flow_marks(names), hits, there))
    return True


def _new_flow_marks(names: Names) -> dict[str, frozenset[str]]:
    return flow_marks.elements(names, flow_marks.new_number())


def _foreign(names: Names, wanted: Table, there: Listing) -> list[str]:
    """Return the names of sets whose elements differ from the wanted ones."""
    elements = {name: each.elements for name, each in wanted.sets.items()}
    # The number in the flow marks is random, so only compare whether both sets use the same one.
    number = flow_marks.number_of(there.elements.get(BINDING, ()))
    elements |= flow_marks.elements(names, number)
    if not number:
        elements[CURRENT] = frozenset({"flow marks"})
    return [name for name, each in elements.items() if there.elements.get(name) != each]


def _differences(wanted: Table, there: Listing) -> list[Finding]:
    found = [codes.FIREWALL_CHAIN_ADDED.of(name) for name in there.chains if name not in wanted.chains]
    for name, (hook, rules) in wanted.chains.items():
        if name not in there.chains:
            found.append(codes.FIREWALL_CHAIN_MISSING.of(name))
            continue
        more = len(there.chains[name]) - len(rules) - bool(hook)
        if more:
            found.append((codes.FIREWALL_RULES_ADDED if more > 0 else codes.FIREWALL_RULES_REMOVED).of(name))
    known = wanted.sets.keys() | {CURRENT, BINDING}
    found += [codes.FIREWALL_SET_ADDED.of(name) for name in there.declarations if name not in known]
    found += [codes.FIREWALL_SET_MISSING.of(name) for name in known if name not in there.declarations]
    return found or [codes.FIREWALL_RULE_CHANGED.of()]


def _list(names: Names, *, terse: bool = False) -> Result:
    return names.inside.try_run([nft.PROGRAM, "-s", *(["-t"] if terse else []), "list", "table", "inet", TABLE])


def _counted(names: Names) -> dict[str, tuple[int, int]]:
    return nft_listing.counted(names.inside.try_run([nft.PROGRAM, "list", "counters", "table", "inet", TABLE]).out)


def _ends_of_flows(names: Names, family: str) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    listing = _conntrack(names, ["-L", "-f", family])
    # The first address pair of a line is the original direction.
    pairs = _FLOW.findall(listing)
    return {ipaddress.ip_address(end) for end in {end for pair in pairs for end in pair}}


def _conntrack(names: Names, arguments: list[str]) -> str:
    result = names.inside.try_run(["conntrack", *arguments])
    # conntrack(8) fails if there was no such flow, which is fine.
    if result.code != 0 and "0 flow entries" not in result.err:
        raise command.explain("conntrack", result)
    return result.out
