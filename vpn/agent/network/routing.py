"""Routes inside the hub: site subnets into the tunnel, everything else out through the link to the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from vpn.agent.memory.names import Link, Names
from vpn.agent.network import exits, netns_view
from vpn.agent.network.netns_view import MAIN, NetnsView, Route
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.peers import Peer, openvpn_side, wireguard_side
from vpn.wire.spec import HubSpec

DEFAULTS: Final = {"4": "0.0.0.0/0", "6": "::/0"}


# Routes of connected OpenVPN peers, set by openvpn's scripts. Their protocol number (ip-route(8)) tells them apart from
# the agent's routes. Their metric makes them preferred to the unreachable routes of the same networks.
CONNECTED_PROTOCOL: Final = 201
CONNECTED_METRIC: Final = 100

# While an OpenVPN peer is disconnected, an unreachable route rejects its traffic. Without it, WireGuard would send the
# traffic to a site with a wider route. While the peer is connected, a route with CONNECTED_METRIC is preferred. A peer
# that switches protocol is reached over WireGuard until it connects over OpenVPN.
_LAST_RESORT: Final = "metric 4096"
_UNREACHABLE: Final = "unreachable"
_PLAIN_V6: Final = "1024"
_Routes = dict[tuple[str, str], str]


def ensure(names: Names, spec: HubSpec, link: Link, is_new: bool = False) -> bool:
    """Make the hub's routes match `spec`, changing only what differs; return True if anything changed.

    `is_new`: the namespace has no routes yet.
    """
    there = netns_view.EMPTY if is_new else netns_view.read(names.inside)
    missing, foreign = _compare(names, _wanted(names, spec, link), there)
    if missing:
        lines = [_line("replace", network, way, metric) for (network, metric), way in missing.items()]
        names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
    for family in DEFAULTS:
        is_v6 = family == "6"
        replaced = {(network, metric) for network, metric in missing}
        lines = [route.deletion for route in foreign if route.is_v6 == is_v6 and not _is_replaced(route, replaced)]
        if lines:
            # A route that is already gone is fine (-force).
            names.inside.try_run(["ip", f"-{family}", "-force", "-batch", "-"], "\n".join(lines) + "\n")
    return exits.ensure(names, spec, there) or bool(missing or foreign)


def drift(names: Names, spec: HubSpec, link: Link, there: NetnsView) -> list[Finding]:
    """Return which routes were added, changed or removed."""
    missing, foreign = _compare(names, _wanted(names, spec, link), there)
    added = {route.network for route in foreign}
    changed = {network for network, _ in missing}
    found = [
        (codes.ROUTING_ROUTE_CHANGED if route.network in changed else codes.ROUTING_ROUTE_ADDED).of(route.network)
        for route in foreign
    ]
    found += [codes.ROUTING_ROUTE_REMOVED.of(network) for network, _ in missing if network not in added]
    return list(dict.fromkeys([*found, *exits.drift(names, spec, there)]))


def _compare(names: Names, wanted: _Routes, there: NetnsView) -> tuple[_Routes, list[Route]]:
    """Return the missing routes and the foreign routes."""
    missing, foreign = dict(wanted), []
    for route in there.routes:
        if _is_of_a_session(names, route) or exits.is_ours(route):
            continue
        key = route.network, _metric(route)
        if (route.table, route.protocol) == (MAIN, "static") and wanted.get(key) == _way(route):
            missing.pop(key, None)
        else:
            foreign.append(route)
    return missing, foreign


def _wanted(names: Names, spec: HubSpec, link: Link) -> _Routes:
    wanted = _into_tunnel(names, spec.peers.values())
    for default in DEFAULTS.values():
        # If a site advertises the default route, all traffic leaves through that site and none through the host.
        if not any(route == default for route, _ in wanted):
            wanted[default, ""] = _through_host(names, link, default)
    # Networks behind the server, also if a site has the default route. A peer's route for the same network wins.
    of_peers = {route for route, _ in wanted}
    behind = {(each, ""): _through_host(names, link, each) for each in spec.server.reached if each not in of_peers}
    return wanted | behind


def _through_host(names: Names, link: Link, network: str) -> str:
    return f"via {link.host_v6 if ':' in network else link.host_v4} dev {names.uplink}"


def _is_of_a_session(names: Names, route: Route) -> bool:
    """Return True if a route belongs to an OpenVPN session. The openvpn component maintains it."""
    return route.protocol == str(CONNECTED_PROTOCOL) and route.device in names.tunnels and route.table == MAIN


def _way(route: Route) -> str:
    if route.kind:
        return route.kind
    return f"via {route.via} dev {route.device}" if route.via else f"dev {route.device}"


def _metric(route: Route) -> str:
    # The kernel adds this metric to IPv6 routes that have none.
    plain = ("", _PLAIN_V6) if route.is_v6 else ("",)
    return "" if route.metric in plain else f"metric {route.metric}"


def _is_replaced(route: Route, replaced: set[tuple[str, str]]) -> bool:
    return not route.kind and route.table == MAIN and (route.network, _metric(route)) in replaced


def change(names: Names, before: Iterable[Peer], after: Iterable[Peer]) -> bool:
    """Replace the routes of the peers `before` by those of the peers `after`; return True if they differ.

    It does not handle default routes.
    """
    lines = _difference(_into_tunnel(names, before), _into_tunnel(names, after))
    if lines:
        names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
    return bool(lines)


def routes_of(peers: Mapping[str, Peer]) -> set[tuple[str, str]]:
    """Return the routes of peers with the peer's id, so that a route that moves to another peer makes a difference."""
    return {(peer_id, route) for peer_id, peer in peers.items() for route in peer.routes}


def _into_tunnel(names: Names, peers: Iterable[Peer]) -> _Routes:
    routes: _Routes = {}
    for peer in peers:
        if wireguard_side(peer) is None:
            # Also for its tunnel addresses, because the pool is routed to WireGuard.
            routes |= {(network, _LAST_RESORT): _UNREACHABLE for network in peer.networks}
        else:
            metric = "" if openvpn_side(peer) is None else _LAST_RESORT
            routes |= {(route, metric): f"dev {names.wireguard}" for route in peer.routes}
    return routes


def _difference(there: _Routes, wanted: _Routes) -> list[str]:
    lines = [
        _line("replace", route, way, metric)
        for (route, metric), way in wanted.items()
        if there.get((route, metric)) != way
    ]
    lines += [
        _line("delete", route, way, metric) for (route, metric), way in there.items() if (route, metric) not in wanted
    ]
    return lines


def _line(verb: str, network: str, way: str, metric: str) -> str:
    # In ip(8), the type of a route precedes its network.
    what = f"{way} {network}" if way == _UNREACHABLE else f"{network} {way}"
    return f"route {verb} {what} {metric} proto static"
