"""Where the hub sends packets of a pushed route: to a site, behind its server, to the internet, or nowhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum
from ipaddress import ip_network

from vpn.addressing.networks import Network, contains, merged, overlaps
from vpn.choices import PeerType
from vpn.models import Instance
from vpn.validators import parse_network
from vpn.wire.reserved import PRIVATE_V4, PRIVATE_V6

_PRIVATE: tuple[Network, ...] = (*PRIVATE_V4, *PRIVATE_V6)


class Way(Enum):
    """Where packets of a pushed route leave the hub."""

    TUNNEL = "tunnel"  # the pool, or a site
    SERVER = "server"  # a network behind the hub's server, which staff allowed
    INTERNET = "internet"
    NOWHERE = "nowhere"


class Ways:
    """Decides where routes lead: the narrowest network around a route, and a site's before one behind the server.

    `tunnels` are the pools and the sites' networks, `allowed` those that staff allowed behind the server.
    """

    def __init__(self, tunnels: Iterable[Network], allowed: Iterable[Network]) -> None:
        self._tunnels = frozenset(tunnels)
        # Adjacent networks may cover a route together.
        self._merged = frozenset(merged(self._tunnels))
        self._allowed = frozenset(allowed)

    def of(self, route: Network) -> Way:
        """Where a route leads."""
        inside, behind = _narrowest(route, self._tunnels), _narrowest(route, self._allowed)
        if behind > inside:
            return Way.SERVER
        if inside >= 0 or _narrowest(route, self._merged) >= 0:
            return Way.TUNNEL
        return Way.NOWHERE if private_part(route) else Way.INTERNET


def _narrowest(route: Network, networks: Collection[Network]) -> int:
    """The prefix length of the narrowest of `networks` around a route; -1 where there is none."""
    lengths = range(route.prefixlen, -1, -1)
    return next((length for length in lengths if route.supernet(new_prefix=length) in networks), -1)


def private_part(route: Network) -> Network | None:
    """The first private range within a route, or around it, which does not lead to the internet."""
    return next((block for block in _PRIVATE if overlaps(route, block)), None)


def _routed(instance: Instance) -> list[Network]:
    """The networks that are routed into tunnels of the instance: its pools, and its sites' networks."""
    rows = instance.peers.admitted().order_by().filter(type=PeerType.SITE).values_list("subnets", flat=True)
    sites = [parse_network(text) for subnets in rows for text in subnets]
    return [instance.network_v4, instance.network_v6, *sites]


def allowed_behind(instance: Instance) -> list[Network]:
    """The networks behind the instance's server that staff allowed, without those within the instance's pool.

    A route to the server for part of the pool would cut off the devices with these addresses, and carry packets for
    them into the server's network.
    """
    server, pools = instance.server, (instance.network_v4, instance.network_v6)
    allowed = [parse_network(text) for text in server.networks] if server is not None else []
    return [network for network in allowed if not any(contains(pool, network) for pool in pools)]


def ways_of(instance: Instance) -> dict[str, Way]:
    """Where each of the instance's pushed routes leads now; one query, none if there are no routes."""
    if not instance.pushed_routes:
        return {}
    ways = Ways(_routed(instance), allowed_behind(instance))
    return {text: ways.of(ip_network(text)) for text in instance.pushed_routes}


def opened_behind(instance: Instance) -> list[str]:
    """The pushed routes that lead behind the hub's server. The server forwards exactly these from the tunnels."""
    if instance.server is None or not instance.server.networks:
        return []
    return [text for text, way in ways_of(instance).items() if way is Way.SERVER]
