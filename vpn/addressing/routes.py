"""The routes of a split tunnel."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from vpn.addressing.networks import Network, is_default_route, without
from vpn.wire.intervals import outermost, span_of_network


def split_tunnel_routes(
    pool_v4: IPv4Network,
    pool_v6: IPv6Network,
    subnets: Iterable[Network],
    pushed: Iterable[Network],
    endpoints: Iterable[Network] = (),
) -> list[Network]:
    """The routes through a split tunnel: the pool, every advertised subnet and the pushed routes; sorted.

    `endpoints` are cut out, as the tunnel's own packets must reach the hub outside the tunnel. A network inside
    another one is left out. Neighbours are not merged, so that an admin recognises what was entered. A site's default
    route is left out: it serves full tunnels alone, and would turn every split tunnel into a full one.
    """
    wanted = (network for network in (pool_v4, pool_v6, *subnets, *pushed) if not is_default_route(network))
    by_span = {span_of_network(network): network for network in wanted}
    routes = [by_span[span] for span in outermost(by_span)]
    for endpoint in endpoints:
        routes = [part for route in routes for part in without(route, endpoint)]
    return routes
