"""The routes through a peer's tunnel, from its instance's rows."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol
from uuid import UUID

from vpn.addressing.aliases import Alias
from vpn.addressing.networks import Network, contains, is_default_route
from vpn.addressing.routes import SplitRoutes
from vpn.models import Instance, Peer
from vpn.validators import parse_network

_EVERYTHING: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class SiteSubnets(dict[UUID, tuple[Network, ...]]):
    """The subnets of each of an instance's site peers, and the routes that follow from them, sorted once."""

    _split: SplitRoutes | None = None
    # The networks from which routers are managed (vpn.profiles.management), once they are known.
    managers: tuple[Network, ...] | None = None

    def split_routes(self, instance: Instance) -> SplitRoutes:
        """The routes through the split tunnels of the instance whose sites these are."""
        if self._split is None:
            pushed = map(parse_network, instance.pushed_routes)
            endpoints = instance.server.endpoint_networks if instance.server is not None else ()
            subnets = (network for networks in self.values() for network in networks)
            self._split = SplitRoutes((instance.network_v4, instance.network_v6), subnets, pushed, endpoints)
        return self._split


def site_subnets(instance: Instance) -> SiteSubnets:
    """The subnets that the sites of an instance advertise, by peer."""
    return site_subnets_of_all([instance.pk])[instance.pk]


def site_subnets_of_all(instances: Collection[UUID]) -> dict[UUID, SiteSubnets]:
    """`site_subnets` by instance; one query."""
    found = {pk: SiteSubnets() for pk in instances}
    rows = Peer.objects.admitted_sites().filter(instance__in=instances)
    for instance, pk, subnets in rows.values_list("instance_id", "pk", "subnets"):
        found[instance][pk] = tuple(parse_network(text) for text in subnets)
    return found


def routes_of(peer: Peer, sites: SiteSubnets) -> tuple[Network, ...]:
    """The routes of a device into its tunnel: all, or the pool, the sites' subnets and the pushed routes."""
    if peer.route_all:
        return _EVERYTHING
    split = sites.split_routes(peer.instance)
    own = own_networks_of(peer, sites)
    return split.without(own) if own else split.routes


class Advertising(Protocol):
    """A peer, or the row of a list, with the networks that it advertises."""

    @property
    def pk(self) -> UUID: ...
    @property
    def subnets(self) -> list[str]: ...
    @property
    def aliases(self) -> tuple[Alias, ...]: ...


def own_networks_of(peer: Advertising, sites: SiteSubnets) -> set[Network]:
    """The networks that a site has itself; no route for them leads into its tunnel.

    Another site may advertise the LAN behind an alias as it is: a route for it would take the router's own machines.
    """
    return {*sites.get(peer.pk, ()), *map(parse_network, peer.subnets), *(alias.lan for alias in peer.aliases)}


def left_out(peer: Peer, sites: SiteSubnets) -> list[str]:
    """The hub's own addresses within a network of the peer's split tunnel: they are reached outside the tunnel."""
    instance = peer.instance
    if peer.route_all or instance.server is None:
        return []
    routed = [network for pk, networks in sites.items() if pk != peer.pk for network in networks]
    routed += [parse_network(text) for text in instance.pushed_routes]
    narrow = [network for network in routed if not is_default_route(network)]
    return [
        address
        for address, endpoint in zip(instance.server.addresses, instance.server.endpoint_networks, strict=True)
        if any(contains(network, endpoint) for network in narrow)
    ]
