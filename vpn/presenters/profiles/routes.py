"""The routes of a peer's tunnel in words: names and counts, with the networks behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.figures import grouped
from vpn.addressing.networks import contains, merged
from vpn.models import Instance, Peer
from vpn.presenters.lists import joined
from vpn.profiles.tunnel_routes import SiteSubnets, left_out, routes_of
from vpn.validators import parse_network

# How many sites, and how many of an instance's domains, a sentence names.
_SITES_NAMED: Final = 3
_DOMAINS_NAMED: Final = 3


def routes_sentence(peer: Peer, sites: SiteSubnets, names: Mapping[UUID, str] | None = None) -> str:
    """What is routed into the tunnel and who resolves names, in a few sentences.

    `names` saves a query for each peer where several are shown (`names_of_sites`).
    """
    if peer.route_all:
        gap = peer.instance.server.gap if peer.instance.server is not None else ""
        everything = _("All traffic of this device goes through the VPN, IPv4 and IPv6.")
        return " ".join(filter(None, (everything, _resolver(peer.instance), _own_server(peer), gap)))
    only = _("Only %(destinations)s go through the VPN; everything else stays direct.")
    sentences = [only % {"destinations": joined(_destinations(peer, sites, names))}]
    if direct := left_out(peer, sites):
        sentences.append(_("The hub's own address, %(address)s, stays direct too.") % {"address": joined(direct)})
    if not peer.is_site:
        sentences.append(_resolver(peer.instance))
    return " ".join(sentences)


def names_of_sites(instances: Iterable[SiteSubnets]) -> dict[UUID, str]:
    """The names of the sites that sentences about peers of these instances name, by peer; one query."""
    named = [pk for sites in instances if len(few := [pk for pk in sites if sites[pk]]) <= _SITES_NAMED for pk in few]
    return _names_of(named)


def _names_of(peers: Iterable[UUID]) -> dict[UUID, str]:
    return dict(Peer.objects.filter(pk__in=list(peers), site__isnull=False).values_list("pk", "site__name"))


def _resolver(instance: Instance) -> str:
    domains = instance.search_domains[:_DOMAINS_NAMED]
    if more := len(instance.search_domains) - len(domains):
        words = ngettext("%(count)s more domain", "%(count)s more domains", more)
        domains = [*domains, words % {"count": grouped(more)}]
    return _("DNS queries go to the hub, which knows the names in %(domains)s.") % {"domains": joined(domains)}


def _own_server(peer: Peer) -> str:
    """What happens to traffic to the hub's own server, which cannot be routed into the tunnel."""
    server = peer.instance.server
    if server is None or not server.addresses:
        return ""
    if peer.is_openvpn and server.portal_port:
        words = _("Only the hub's own address, %(address)s, is reached directly, with this portal on it.")
    elif peer.is_openvpn:
        words = _("Only the hub's own address, %(address)s, is reached directly.")
    elif server.portal_port:
        words = _("Of the hub's own server, %(address)s, only this portal is reached through the VPN.")
    else:
        words = _("The hub's own server, %(address)s, is not reached through the VPN.")
    return words % {"address": joined(server.addresses)}


def routed_networks(peer: Peer, sites: SiteSubnets) -> list[str]:
    """The routed networks, adjacent ones merged (unlike in profiles); none for a full tunnel."""
    if peer.route_all:
        return []
    return [str(network) for network in merged(routes_of(peer, sites))]


def _destinations(peer: Peer, sites: SiteSubnets, names: Mapping[UUID, str] | None) -> list[str]:
    """Sites by name, or their number if there are many; then other networks, then the VPN's own devices."""
    others = {pk: networks for pk, networks in sites.items() if networks and pk != peer.pk}
    found = _sites(list(others), names, is_site=peer.is_site)
    routes = [parse_network(text) for text in peer.instance.pushed_routes]
    behind = [network for networks in others.values() for network in networks] if routes else []
    if pushed := sum(not any(contains(wider, route) for wider in behind) for route in routes):
        if found:
            words = ngettext("%(count)s more network", "%(count)s more networks", pushed)
        else:
            words = ngettext("%(count)s network", "%(count)s networks", pushed)
        found.append(words % {"count": grouped(pushed)})
    return [*found, _("the devices of this VPN")]


def _sites(peers: list[UUID], known: Mapping[UUID, str] | None, *, is_site: bool) -> list[str]:
    if not peers:
        return []
    if len(peers) > _SITES_NAMED:
        words = _("your company's other %(count)s sites") if is_site else _("your company's %(count)s sites")
        return [words % {"count": grouped(len(peers))}]
    known = _names_of(peers) if known is None else known
    names = sorted(known[pk] for pk in peers if pk in known)
    return [ngettext("the site %(names)s", "the sites %(names)s", len(names)) % {"names": joined(names)}]
