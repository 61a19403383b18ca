"""The files `pushed_...`: what peers are told when they connect, the same for all but for their own networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from vpn.agent.openvpn.lines import ended, route_line
from vpn.wire.server_side import without_addresses
from vpn.wire.spec import HubSpec

ROUTES_AND_DNS: Final = frozenset({"pushed_split", "pushed_all", "pushed_dns"})

# openvpn(8) reads lines of 255 characters, and a client takes no more domains to search.
_LONGEST_LINE: Final = 255
_MOST_SEARCHED: Final = 10
_FIRST_METRIC: Final = 10_000
_METRICS: Final = 50_000


def pushed(spec: HubSpec) -> dict[str, str]:
    """Return the files with what peers are told, by name."""
    return {
        "pushed_split": _pushed_split(spec),
        "pushed_all": _pushed_all(),
        "pushed_dns": _pushed_dns(spec),
        "pushed_metric": _pushed_metric(spec),
    }


def _pushed_split(spec: HubSpec) -> str:
    lines = [f'- push "{route_line("route", route)}"' for route in _told(spec, spec.pushed_routes)]
    # In an order of its own: that of the peers in a spec means nothing.
    for peer_id, peer in sorted(spec.peers.items()):
        lines += [f'{peer_id} push "{route_line("route", route)}"' for route in _told(spec, peer.routes)]
    return ended(lines)


def _told(spec: HubSpec, routes: Iterable[str]) -> Iterable[str]:
    """Return routes as peers are told them: without where they find the hub, which the tunnel itself goes to."""
    for route in routes:
        if not _is_default(route):
            yield from without_addresses(route, spec.server.addresses)


def _pushed_metric(spec: HubSpec) -> str:
    """Return the metric of the routes: behind those of a client's own networks, another one for each hub."""
    number = int.from_bytes(hashlib.sha256(spec.hub.encode()).digest()[:4], "big")
    return ended([f'- push "route-metric {_FIRST_METRIC + number % _METRICS}"'])


def _pushed_all() -> str:
    # The last one is for Windows, which asks over every interface at once. Other clients pass over it.
    return ended(['- push "redirect-gateway def1 ipv6"', '- push "block-outside-dns"'])


def _pushed_dns(spec: HubSpec) -> str:
    options = [f"DNS{'6' if ':' in server else ''} {server}" for server in spec.dns]
    # The first one is the connection's own domain where a client has room for one only.
    searched = spec.search_domains[:_MOST_SEARCHED]
    options += [f"DOMAIN{'-SEARCH' if number else ''} {domain}" for number, domain in enumerate(searched)]
    lines = [f'- push "dhcp-option {option}"' for option in options]
    return ended(line for line in lines if len(line) <= _LONGEST_LINE)


def _is_default(route: str) -> bool:
    return route.endswith("/0")
