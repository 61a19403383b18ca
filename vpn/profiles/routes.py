"""The routes of a peer's tunnel in words: names and counts, with the networks behind them."""

from __future__ import annotations

from typing import Final

from vpn.addressing.networks import contains, merged
from vpn.choices import PeerType
from vpn.models import Instance, Peer
from vpn.profiles.tunnel_routes import left_out, routes_of, site_subnets
from vpn.validators import parse_network

# How many sites, and how many of an instance's domains, a sentence names.
_SITES_NAMED: Final = 3
_DOMAINS_NAMED: Final = 3


def routes_sentence(peer: Peer) -> str:
    """What is routed into the tunnel and who resolves names, in a sentence or two."""
    if peer.route_all:
        gap = peer.instance.server.gap if peer.instance.server is not None else ""
        everything = (
            "All traffic of this device goes through the VPN, IPv4 and IPv6, and its DNS questions with it: names are "
            f"asked of the hub, {_names_known(peer.instance)}."
        )
        return " ".join(filter(None, (everything, _own_server(peer), gap)))
    sentence = f"Only {_listed(_destinations(peer))} go through the VPN; everything else stays direct"
    if direct := left_out(peer):
        sentence += f", and so does the hub's own address {_listed(direct)}"
    if peer.is_site:
        return f"{sentence}."
    return f"{sentence}, while names are asked of the hub, {_names_known(peer.instance)}."


def _own_server(peer: Peer) -> str:
    """What happens to traffic to the hub's own server, which cannot be routed into the tunnel."""
    server = peer.instance.server
    if server is None or not server.addresses:
        return ""
    own = _listed(list(server.addresses))
    if peer.is_openvpn:
        portal = ", and so is this portal" if server.portal_port else ""
        return f"Only the hub's own address, {own}, is reached directly, as the tunnel itself goes there{portal}."
    if server.portal_port:
        return f"Of the hub's own server, {own}, this portal is reached through the VPN, and nothing else."
    return f"The hub's own server, {own}, is not reached through the VPN."


def routed_networks(peer: Peer) -> list[str]:
    """The routed networks, adjacent ones merged (unlike in profiles); none for a full tunnel."""
    if peer.route_all:
        return []
    return [str(network) for network in merged(routes_of(peer, site_subnets(peer.instance)))]


def _destinations(peer: Peer) -> list[str]:
    """Sites by name, or their number if there are many; then other networks, then the VPN's own devices."""
    sites = peer.instance.peers.admitted().filter(type=PeerType.SITE).exclude(pk=peer.pk).exclude(subnets=[])
    rows = list(sites.order_by("site__name").values_list("site__name", "subnets"))
    names = [name for name, _ in rows]
    behind = [parse_network(text) for _, subnets in rows for text in subnets]
    found = []
    if len(names) > _SITES_NAMED:
        found.append(f"your company's {'other ' if peer.is_site else ''}{len(names):,} sites")
    elif names:
        found.append(f"the site{'' if len(names) == 1 else 's'} {_listed(names)}")
    routes = [parse_network(text) for text in peer.instance.pushed_routes]
    if pushed := sum(not any(contains(wider, route) for wider in behind) for route in routes):
        more = " more" if names else ""
        found.append(f"{pushed}{more} network{'' if pushed == 1 else 's'}")
    return [*found, "the devices of this VPN"]


def _listed(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _names_known(instance: Instance) -> str:
    named = instance.search_domains[:_DOMAINS_NAMED]
    more = len(instance.search_domains) - len(named)
    return f"which knows those in {_listed([*named, f'{more} more domains'] if more else named)}"
