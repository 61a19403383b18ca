"""The files `pushed_...`: the options pushed to peers, the same for all except their own networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from vpn.agent.openvpn.lines import ended, route_line
from vpn.wire.server_side import without_addresses
from vpn.wire.spec import HubSpec

ROUTES_AND_DNS: Final = frozenset({"pushed_split", "pushed_all", "pushed_dns"})

# openvpn(8) reads lines of up to 255 characters. Clients accept up to ten search domains.
_LONGEST_LINE: Final = 255
_MOST_SEARCHED: Final = 10
_FIRST_METRIC: Final = 10_000
_METRICS: Final = 50_000


def pushed(spec: HubSpec) -> dict[str, str]:
    """Return the files of pushed options by name."""
    return {
        "pushed_split": _pushed_split(spec),
        "pushed_all": _pushed_all(),
        "pushed_dns": _pushed_dns(spec),
        "pushed_metric": _pushed_metric(spec),
    }


def _pushed_split(spec: HubSpec) -> str:
    lines = [f'- push "{route_line("route", route)}"' for route in _pushable(spec, spec.pushed_routes)]
    # Sorted, because the order of peers in a spec has no meaning.
    for peer_id, peer in sorted(spec.peers.items()):
        lines += [f'{peer_id} push "{route_line("route", route)}"' for route in _pushable(spec, peer.routes)]
    return ended(lines)


def _pushable(spec: HubSpec, routes: Iterable[str]) -> Iterable[str]:
    """Yield the routes without the hub's public addresses, to which the encrypted packets go."""
    for route in routes:
        if not _is_default(route):
            yield from without_addresses(route, spec.server.addresses)


def _pushed_metric(spec: HubSpec) -> str:
    """Return the metric of pushed routes: higher than that of a client's own networks, different for each hub."""
    number = int.from_bytes(hashlib.sha256(spec.hub.encode()).digest()[:4], "big")
    return ended([f'- push "route-metric {_FIRST_METRIC + number % _METRICS}"'])


def _pushed_all() -> str:
    # block-outside-dns is for Windows, which sends DNS queries over every interface. Other clients ignore it.
    return ended(['- push "redirect-gateway def1 ipv6"', '- push "block-outside-dns"'])


def _pushed_dns(spec: HubSpec) -> str:
    options = [f"DNS{'6' if ':' in server else ''} {server}" for server in spec.dns]
    # A client that supports only one domain uses the first.
    searched = spec.search_domains[:_MOST_SEARCHED]
    options += [f"DOMAIN{'-SEARCH' if number else ''} {domain}" for number, domain in enumerate(searched)]
    lines = [f'- push "dhcp-option {option}"' for option in options]
    return ended(line for line in lines if len(line) <= _LONGEST_LINE)


def _is_default(route: str) -> bool:
    return route.endswith("/0")
