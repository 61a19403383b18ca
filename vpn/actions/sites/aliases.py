"""Alias subnets that the forms propose where two sites of an instance have the same LAN."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Network
from uuid import UUID

from vpn.addressing.aliases import BASE, Alias, parse_alias
from vpn.addressing.networks import Network, is_broad
from vpn.addressing.pools import PoolExhausted, choose_pool
from vpn.models import Instance, Peer, Site
from vpn.validators import parse_network


def proposed_aliases(of: Site | Instance, subnets: Sequence[str], instances: Iterable[Instance]) -> list[str]:
    """An alias for each of a site's subnets that overlaps one of another site on these instances.

    `of` is the site, or for a new one the instance to which it shall be connected. An alias is the first network of the
    same size that overlaps nothing that the organization's instances and sites have. Where none is free, none is
    proposed.
    """
    hubs = list(instances)
    others = Peer.objects.filter(instance__in=hubs).exclude(site=None)
    if isinstance(of, Site):
        others = others.exclude(site=of)
    claimed = [parse_network(text) for texts in others.order_by().values_list("subnets", flat=True) for text in texts]
    known = _known(of.organization_id)
    found: list[str] = []
    for lan in map(parse_network, subnets):
        if isinstance(lan, IPv4Network) and not is_broad(lan) and any(map(lan.__eq__, claimed)):
            with suppress(PoolExhausted, ValueError):  # none is free, or of such a size
                alias = Alias(lan, choose_pool(BASE, lan.prefixlen, known))
                known.append(alias.subnet)
                found.append(str(alias))
    return found


def _known(organization_id: UUID) -> list[IPv4Network]:
    """What an alias must not overlap."""
    sites = Site.objects.filter(organization=organization_id).order_by().values_list("subnets", "alias")
    peers = Peer.objects.filter(instance__organization=organization_id).exclude(site=None).order_by()
    pools = Instance.objects.filter(organization=organization_id).order_by().values_list("pool_v4", "pushed_routes")
    texts = [text for subnets, _aliases in sites for text in subnets]
    texts += [text for subnets in peers.values_list("subnets", flat=True) for text in subnets]
    texts += [text for pool, routes in pools for text in (pool, *routes)]
    networks: list[Network] = [parse_network(text) for text in texts]
    aliases = [parse_alias(text) for _subnets, stored in sites for text in stored or ()]
    networks += [network for alias in aliases for network in (alias.lan, alias.subnet)]
    return [network for network in networks if isinstance(network, IPv4Network) and not is_broad(network)]
