"""Routes inside the hub: site subnets into the tunnel, all else out through the link. Only differences are touched."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from typing import Final

from vpn.agent.names import Link, Names
from vpn.agent.spec import HubSpec, OpenVPNPeer, Peer

DEFAULTS: Final = {"4": "0.0.0.0/0", "6": "::/0"}
# What the hub answers for a family that its host has no way out for: a timeout would keep programs waiting, and
# profiles that did not take the family into the tunnel would leak it.
_NO_WAY_OUT: Final = "unreachable"


# A route of a peer over OpenVPN leads to it while it is connected (see openvpn_scripts.METRIC), else to nobody: then
# what is meant for it ends here, and never leaves through the host.
_NOBODY: Final = "metric 4096"
_Routes = dict[tuple[str, str], str]


def ensure(names: Names, spec: HubSpec, link: Link, families: Collection[str]) -> bool:
    """Make the hub's routes be those of `spec`; return whether they were not.

    `families` are those that the host has a way out for; another one is answered, as unreachable.
    """
    into_tunnel = _into_tunnel(names, spec.peers.values())
    changed = False
    for family, default in DEFAULTS.items():
        wanted = {key: way for key, way in into_tunnel.items() if (":" in key[0]) == (family == "6")}
        gateway = link.host_v4 if family == "4" else link.host_v6
        # A site that advertises everything is the way out for everybody: nothing leaves through the host then.
        if not any(route == default for route, _ in wanted):
            wanted[default, ""] = f"via {gateway} dev {names.uplink}" if f"ipv{family}" in families else _NO_WAY_OUT
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
        (route, _NOBODY if isinstance(peer, OpenVPNPeer) else ""): f"dev {names.wireguard}"
        for peer in peers
        for route in peer.routes
    }


def _difference(there: _Routes, wanted: _Routes) -> list[str]:
    lines = [_line("replace", key, way) for key, way in wanted.items() if there.get(key) != way]
    lines += [_line("delete", key, way) for key, way in there.items() if key not in wanted]
    return lines


def _line(act: str, key: tuple[str, str], way: str) -> str:
    route, metric = key
    what = f"{way} {route}" if way == _NO_WAY_OUT else f"{route} {way}"
    return f"route {act} {what} {metric} proto static"


def _observe(names: Names, family: str) -> _Routes:
    routes = {}
    for line in names.inside.run(["ip", f"-{family}", "route", "show", "proto", "static"]).splitlines():
        fields = line.split()
        if not fields:
            continue
        no_way_out = fields[0] == _NO_WAY_OUT
        fields = fields[no_way_out:]
        route = DEFAULTS[family] if fields[0] == "default" else fields[0]
        if "/" not in route:
            route = str(ipaddress.ip_network(route))
        words = dict(zip(fields[1::2], fields[2::2], strict=False))
        way = _NO_WAY_OUT if no_way_out else f"dev {words.get('dev', '')}"
        metric = f"metric {words.get('metric', '')}"
        routes[route, metric if metric == _NOBODY else ""] = f"via {words['via']} {way}" if "via" in words else way
    return routes
