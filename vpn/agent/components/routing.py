"""Routes inside the hub: site subnets into the tunnel, all else out through the link. Only differences are touched."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from vpn.agent.names import Link, Names
from vpn.agent.peers import openvpn_side
from vpn.agent.spec import HubSpec, Peer

DEFAULTS: Final = {"4": "0.0.0.0/0", "6": "::/0"}


# A route of a peer over OpenVPN leads to it while it is connected (see openvpn_scripts.METRIC), else to nobody: then
# what is meant for it ends here, and never leaves through the host. A peer that changes its protocol is at its end
# while it is not over OpenVPN.
_NOBODY: Final = "metric 4096"
_Routes = dict[tuple[str, str], str]


def ensure(names: Names, spec: HubSpec, link: Link) -> bool:
    """Make the hub's routes be those of `spec`; return whether they were not."""
    into_tunnel = _into_tunnel(names, spec.peers.values())
    changed = False
    for family, default in DEFAULTS.items():
        wanted = {key: way for key, way in into_tunnel.items() if (":" in key[0]) == (family == "6")}
        gateway = link.host_v4 if family == "4" else link.host_v6
        # A site that advertises everything is the way out for everybody: nothing leaves through the host then.
        if not any(route == default for route, _ in wanted):
            wanted[default, ""] = f"via {gateway} dev {names.uplink}"
        lines = _difference(_observe(names, family), wanted)
        if lines:
            names.inside.run(["ip", f"-{family}", "-batch", "-"], "\n".join(lines) + "\n")
        changed |= bool(lines)
    return changed


def change(names: Names, before: Iterable[Peer], after: Iterable[Peer]) -> bool:
    """Turn the routes of the peers `before` into those of the peers `after`; return whether they differ.

    Not for default routes.
    """
    lines = _difference(_into_tunnel(names, before), _into_tunnel(names, after))
    if lines:
        names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
    return bool(lines)


def _into_tunnel(names: Names, peers: Iterable[Peer]) -> _Routes:
    return {
        (route, "" if openvpn_side(peer) is None else _NOBODY): f"dev {names.wireguard}"
        for peer in peers
        for route in peer.routes
    }


def _difference(there: _Routes, wanted: _Routes) -> list[str]:
    lines = [
        f"route replace {route} {way} {metric} proto static"
        for (route, metric), way in wanted.items()
        if there.get((route, metric)) != way
    ]
    lines += [
        f"route delete {route} {way} {metric} proto static"
        for (route, metric), way in there.items()
        if (route, metric) not in wanted
    ]
    return lines


def _observe(names: Names, family: str) -> _Routes:
    routes = {}
    for line in names.inside.run(["ip", f"-{family}", "route", "show", "proto", "static"]).splitlines():
        fields = line.split()
        if not fields:
            continue
        route = DEFAULTS[family] if fields[0] == "default" else fields[0]
        if "/" not in route:
            route = str(ipaddress.ip_network(route))
        words = dict(zip(fields[1::2], fields[2::2], strict=False))
        way = f"dev {words.get('dev', '')}"
        metric = f"metric {words.get('metric', '')}"
        routes[route, metric if metric == _NOBODY else ""] = f"via {words['via']} {way}" if "via" in words else way
    return routes
