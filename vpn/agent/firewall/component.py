"""What the hub lets pass, from its first packet on: `table inet hub` in the hub's namespace.

AllowedIPs is routing, not access control: this is where access is controlled. See `firewall_rules` for how.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Final

from vpn.agent.firewall import delta as firewall_delta
from vpn.agent.firewall import generation as firewall_generation
from vpn.agent.firewall import rules as firewall_rules
from vpn.agent.firewall import script as firewall_script
from vpn.agent.firewall import tracking
from vpn.agent.firewall.generation import BINDING, CURRENT
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
from vpn.wire.peers import Peer
from vpn.wire.spec import DENY, HubSpec

# A flow that was cut off must not be taken up again from its middle.
_SETTINGS: Final = {"net.netfilter.nf_conntrack_tcp_loose": "0", **tracking.TIMEOUTS}

# Beyond so many networks one flush costs less than looking for each.
_CUT_ONE_BY_ONE: Final = 200

_SETS: Final = (("sets", "table", "inet", TABLE), ("map", "inet", TABLE, BINDING))

_FLOW: Final = re.compile(r"^[^=\n]*src=(\S+) dst=(\S+)", re.MULTILINE)


def ensure(hub: Hub, spec: HubSpec) -> bool:
    """Make the hub's rules hold; return whether they did not."""
    names = hub.names
    changed = _ensure_table(names, firewall_rules.table(names, spec), hub.marks)
    # After the table: the setting exists once connections are tracked.
    return sysctl.ensure(names.inside, _SETTINGS) or changed


def change(hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Have the rules of `spec` follow its peers, some of which were as `before` and are as `after`; return whether they
    had to."""
    delta = firewall_delta.of(spec, before, after)
    if delta is None or _nests(spec, before, after):
        return ensure(hub, spec)
    if not delta.is_empty:
        script = firewall_script.changed(delta.removed, delta.added) + firewall_script.replaced(delta.replaced)
        try:
            nft.run(hub.names.inside, script + firewall_script.regenerated(_generation(hub.names)))
        except AgentError:
            # Another program changed the sets: the whole table is compared.
            return ensure(hub, spec)
    return not delta.is_empty


def _nests(spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer]) -> bool:
    """Return whether a change of routes, which led to `spec`, concerns the check of sources (see `holds_others`)."""
    if not any(peer.routes for peer in (*before.values(), *after.values())):
        return False
    former = {key: peer for key, peer in spec.peers.items() if key not in after} | dict(before)
    return any(holds_others(spec.addresses, peers.values()) for peers in (former, spec.peers))


def minds_ways(spec: HubSpec) -> bool:
    """Return True if any rule depends on the interface through which a network is reached."""
    return bool(spec.rules) or spec.forwarding == DENY


def judge_again(hub: Hub, spec: HubSpec) -> None:
    """Have all flows judged again at their next packet, as when their ways have changed."""
    try:
        nft.run(hub.names.inside, firewall_script.regenerated(_generation(hub.names)))
    except AgentError:
        # Another program changed the table: its repair does the same.
        ensure(hub, spec)


def remove(hub: Hub) -> bool:
    """Remove the table; return whether there was one. It goes with the hub's namespace, too."""
    return hub.names.inside.try_run([nft.PROGRAM, "delete", "table", "inet", TABLE]).code == 0


def is_alive(hub: Hub) -> bool:
    """Return whether the kernel can have the rules: it keeps them with the namespace. `drift` compares them."""
    return namespace.exists(hub.names.netns)


def hits(names: Names, spec: HubSpec) -> dict[str, int]:
    """Return by its id how many packets each rule met: the first ones of flows, and all that it does not let pass."""
    found = _counted(names) if spec.rules else {}
    if not found:
        return {}
    return {rule.id: found.get(firewall_rules.counter_name(rule.id), (0, 0))[0] for rule in spec.rules}


def drift(names: Names, spec: HubSpec, marks: Mapping[str, str], *, thorough: bool = False) -> list[Finding]:
    """Return what was changed in the hub's firewall; nothing where it is as it was loaded.

    Lists the table without the elements of its sets: some 0.2 ms of a processor for each rule, whatever the number of
    peers (a fifth of a second for 1,000). A `thorough` look compares the elements too, half as much again with 10,000
    peers that rules name.
    """
    result = _list(names, terse=not thorough)
    if result.code != 0:
        return [codes.FIREWALL_TABLE_MISSING.of()]
    there = nft_listing.parse(result.out)
    wanted = firewall_rules.table(names, spec)
    found = []
    if marks.get(TABLE) != nft.mark(wanted.text, there.structure):
        found = _differences(wanted, there) or [codes.FIREWALL_TABLE_CHANGED.of()]
    if thorough:
        found += [codes.FIREWALL_SET_CHANGED.of(name) for name in _foreign(names, wanted, there)]
    return found


def cut(names: Names, networks: Collection[str]) -> None:
    """End the flows of networks that a peer has given up: the next owner must not inherit its replies."""
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        given_up = [ipaddress.ip_network(network) for network in networks if mark in network]
        # Each look goes through the whole table of the host, so most are saved by a first one.
        ends = _ends_of_flows(names, family) if given_up else set()
        concerned = [network for network in given_up if any(end in network for end in ends)]
        if len(concerned) > _CUT_ONE_BY_ONE:
            _conntrack(names, ["-F", "-f", family])
            continue
        for network in concerned:
            for direction in ("--orig-src", "--orig-dst"):
                _conntrack(names, ["-D", "-f", family, direction, str(network)])


def _ensure_table(names: Names, wanted: Table, marks: dict[str, str]) -> bool:
    if nft.is_meant(TABLE, wanted.text, marks):
        result = _list(names)
        there = nft_listing.parse(result.out)
        if result.code == 0 and marks[TABLE] == nft.mark(wanted.text, there.structure):
            return _ensure_elements(names, wanted, there)
    for load in (_renew, _replace):
        if not load(names, wanted):
            continue
        there = nft_listing.parse(_list(names, terse=True).out)
        if leftover := firewall_script.tidied(wanted, there):
            nft.run(names.inside, leftover)
            there = nft_listing.parse(_list(names, terse=True).out)
        if there.declarations.keys() == wanted.sets.keys() | {CURRENT, BINDING}:
            break
    marks[TABLE] = nft.mark(wanted.text, there.structure)
    return True


def _ensure_elements(names: Names, wanted: Table, there: Listing) -> bool:
    foreign = _foreign(names, wanted, there)
    if foreign:
        sets = {name: wanted.sets[name].elements for name in foreign if name in wanted.sets}
        nft.run(names.inside, firewall_script.replaced(sets) + firewall_script.regenerated(_generation(names)))
    return bool(foreign)


def _renew(names: Names, wanted: Table) -> bool:
    """Give the table that is there other rules and sets; return whether that could be done."""
    listed = [names.inside.try_run([nft.PROGRAM, "-s", "list", *what]) for what in _SETS]
    there = nft_listing.parse("".join(result.out for result in listed))
    if not {CURRENT, BINDING} <= there.declarations.keys():
        return False
    try:
        nft.run(names.inside, firewall_script.renewed(wanted, _generation(names), there))
    except AgentError:
        # Something in there cannot be turned into what it should be: a hook elsewhere, a rule of another kind.
        return False
    return True


def _replace(names: Names, wanted: Table) -> bool:
    """Load the table from nothing, or instead of whatever is there."""
    there = "No such file" not in _list(names, terse=True).err
    hits = _counted(names) if there else {}
    nft.run(names.inside, firewall_script.whole(wanted, _generation(names), hits, there))
    return True


def _generation(names: Names) -> dict[str, frozenset[str]]:
    return firewall_generation.elements(names, firewall_generation.new_number())


def _foreign(names: Names, wanted: Table, there: Listing) -> list[str]:
    """Return the names of sets that hold something else than they should."""
    elements = {name: each.elements for name, each in wanted.sets.items()}
    # Which generation it is does not matter, as long as both say the same.
    number = firewall_generation.number_of(there.elements.get(BINDING, ()))
    elements |= firewall_generation.elements(names, number)
    if not number:
        elements[CURRENT] = frozenset({"a generation"})
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
    # The first pair of a line is the one that opened the flow.
    pairs = _FLOW.findall(listing)
    return {ipaddress.ip_address(end) for end in {end for pair in pairs for end in pair}}


def _conntrack(names: Names, arguments: list[str]) -> str:
    result = names.inside.try_run(["conntrack", *arguments])
    # It fails when there was no such flow, which is fine.
    if result.code != 0 and "0 flow entries" not in result.err:
        raise command.explain("conntrack", result)
    return result.out
