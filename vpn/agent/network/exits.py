"""Exit through a site: a routing table whose default route is the tunnel, for packets that the firewall marks.

The firewall marks packets of chosen clients that would otherwise leave through the host (see firewall.exits). A rule
sends these into the table, before the main one. If there is no exit, the table's unreachable route rejects them: they
never leave through the host.
"""

from __future__ import annotations

from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.network.netns_view import NetnsView, Route
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.peers import EVERYTHING, EXIT_SITE, uses_exit
from vpn.wire.spec import HubSpec

TABLE: Final = "201"
MARK: Final = "0x00000002"
_PRIORITY: Final = 1000
_LAST_RESORT: Final = "4096"
_PLAIN_METRICS: Final = ("", "1024")  # the kernel's own for IPv4 and IPv6
_RULE: Final = f"fwmark {int(MARK, 16):#x}/{int(MARK, 16):#x} lookup {TABLE}"
_Routes = set[tuple[str, str, str]]


def is_ours(route: Route) -> bool:
    """Return True if a route is in the table of the exit."""
    return route.table == TABLE


def ensure(names: Names, spec: HubSpec, there: NetnsView) -> bool:
    """Make the table and its rules match `spec`; return True if anything changed."""
    wanted, found = _wanted(names, spec), _found(there)
    if not wanted and not found:
        return False
    routes_differ, rules_differ = wanted != found, _lacks_rules(names, wanted)
    # The unreachable routes come first, and the rules go last: in between, no packet takes the host's way.
    lines = [f"route replace {kind} {network} table {TABLE} {rest}" for kind, network, rest in sorted(wanted)[::-1]]
    if routes_differ:
        for family, network in zip("46", EVERYTHING, strict=True):
            kept = [line for line in lines if f" {network} " in line]
            flush = [f"route flush table {TABLE}"] if found - wanted else []
            names.inside.try_run(["ip", f"-{family}", "-force", "-batch", "-"], "\n".join([*flush, *kept]) + "\n")
    if rules_differ:
        for family in "46":
            names.inside.try_run(["ip", f"-{family}", "rule", "delete", "priority", str(_PRIORITY)])
            if wanted:
                names.inside.run(["ip", f"-{family}", "rule", "add", *_RULE.split(), "priority", str(_PRIORITY)])
    return routes_differ or rules_differ


def drift(names: Names, spec: HubSpec, there: NetnsView) -> list[Finding]:
    """Return which routes and rules of the exit were added or removed."""
    wanted, found = _wanted(names, spec), _found(there)
    if not wanted and not found:
        return []
    added = [codes.ROUTING_ROUTE_ADDED.of(network) for _, network, _ in sorted(found - wanted)]
    removed = [codes.ROUTING_ROUTE_REMOVED.of(network) for _, network, _ in sorted(wanted - found)]
    if not added and not removed and _lacks_rules(names, wanted):
        removed = [codes.ROUTING_ROUTE_REMOVED.of(network) for network in EVERYTHING]
    return list(dict.fromkeys([*added, *removed]))


def _wanted(names: Names, spec: HubSpec) -> _Routes:
    """Return the routes as (kind, network, rest)."""
    if not uses_exit(spec.peers.values()):
        return set()
    wanted = {("unreachable", network, f"metric {_LAST_RESORT} proto static") for network in EVERYTHING}
    if any(peer.exit == EXIT_SITE for peer in spec.peers.values()):
        wanted |= {("unicast", network, f"dev {names.wireguard} proto static") for network in EVERYTHING}
    return wanted


def _found(there: NetnsView) -> _Routes:
    return {(route.kind or "unicast", route.network, _rest(route)) for route in there.routes if is_ours(route)}


def _rest(route: Route) -> str:
    way = "" if route.kind == "unreachable" else f"via {route.via} " * bool(route.via) + f"dev {route.device} "
    metric = "" if route.metric in _PLAIN_METRICS else f"metric {route.metric} "
    return f"{way}{metric}proto {route.protocol}"


def _lacks_rules(names: Names, wanted: _Routes) -> bool:
    """Return True if a family has not exactly one rule for the table; without an exit, none is right."""
    expected = [_RULE] if wanted else []
    for family in "46":
        listing = names.inside.run(["ip", f"-{family}", "rule", "show", "priority", str(_PRIORITY)])
        if [" ".join(line.split()[3:]) for line in listing.splitlines()] != expected:
            return True
    return False
