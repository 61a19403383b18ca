"""Routes inside the hub: site subnets into the tunnel, all else out through the link. Only differences are touched."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from vpn.agent.names import Link, Names
from vpn.agent.spec import HubSpec

DEFAULTS: Final = {"4": "0.0.0.0/0", "6": "::/0"}


def ensure(names: Names, spec: HubSpec, link: Link) -> bool:
    """Make the hub's routes be those of `spec`; return whether they were not."""
    into_tunnel = {route for peer in spec.peers.values() for route in peer.routes}
    changed = False
    for family, default in DEFAULTS.items():
        wanted = {route: f"dev {names.wireguard}" for route in into_tunnel if (":" in route) == (family == "6")}
        gateway = link.host_v4 if family == "4" else link.host_v6
        # A site that advertises everything is the way out for everybody: nothing leaves through the host then.
        wanted.setdefault(default, f"via {gateway} dev {names.uplink}")
        changed |= _reconcile(names, family, wanted)
    return changed


def change(names: Names, removed: Iterable[str], added: Iterable[str]) -> bool:
    """Take routes into the tunnel out and put others in; return whether there were any. Not for default routes."""
    lines = [f"route delete {route} dev {names.wireguard} proto static" for route in removed]
    lines += [f"route replace {route} dev {names.wireguard} proto static" for route in added]
    if lines:
        names.inside.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
    return bool(lines)


def _reconcile(names: Names, family: str, wanted: dict[str, str]) -> bool:
    there = _observe(names, family)
    lines = [f"route delete {route} proto static" for route in there if route not in wanted]
    lines += [f"route replace {route} {way} proto static" for route, way in wanted.items() if there.get(route) != way]
    if lines:
        names.inside.run(["ip", f"-{family}", "-batch", "-"], "\n".join(lines) + "\n")
    return bool(lines)


def _observe(names: Names, family: str) -> dict[str, str]:
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
        routes[route] = f"via {words['via']} {way}" if "via" in words else way
    return routes
