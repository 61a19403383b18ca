"""From which networks a router accepts connections to its own services through the tunnel (vpn.router_services).

A site stands for its tunnel addresses and its subnets, without a default route. A group stands for the whole pool: its
members' devices come and go without a new file, and the hub lets only them through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from vpn.addressing.networks import Network, is_default_route
from vpn.choices import Platform
from vpn.models import Instance
from vpn.profiles.tunnel_routes import SiteSubnets
from vpn.router_services import NO_ACCESS, RouterAccess, services_of
from vpn.validators import parse_network

_SITE = "site:"
_WITH_ACCEPTS = {Platform.ROUTEROS7, Platform.ROUTEROS6, Platform.OPENWRT, Platform.VYOS, Platform.LINUX}
# A site's id, and the host number and the subnets of its peer.
_Row = tuple[UUID | None, int, Sequence[str]]


def managers_among(instance: Instance, rows: Iterable[_Row]) -> tuple[Network, ...]:
    """The networks of all who may manage the instance's routers; `rows` are those of its peers."""
    sources = set(instance.management_sources)
    found = {
        parse_network(text)
        for site, host, subnets in rows
        if site is not None and f"{_SITE}{site}" in sources
        for text in (*instance.own_networks(host), *subnets)
        if not is_default_route(parse_network(text))
    }
    if any(not source.startswith(_SITE) for source in sources):
        found |= {instance.network_v4, instance.network_v6}
    return tuple(sorted(found, key=lambda network: (network.version, network)))


def access_of(instance: Instance, sites: SiteSubnets, own: Collection[Network]) -> RouterAccess:
    """What a router accepts that advertises the networks `own`; one query for all routers, none if nobody manages."""
    if not instance.management_sources:
        return NO_ACCESS
    if sites.managers is None:
        ids = [source.removeprefix(_SITE) for source in instance.management_sources if source.startswith(_SITE)]
        rows = instance.peers.admitted_sites().filter(site__in=ids).order_by()
        sites.managers = managers_among(instance, rows.values_list("site_id", "host", "subnets"))
    networks = tuple(network for network in sites.managers if network not in own)
    return RouterAccess(services_of(instance.management_services), networks)


def has_accepts(platform: str) -> bool:
    """Do this platform's files or steps tell what the router accepts?

    OPNsense and pfSense pass everything that comes through the tunnel, and others import a plain profile.
    """
    return platform in _WITH_ACCEPTS
