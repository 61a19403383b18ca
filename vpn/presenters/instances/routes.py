"""Where an instance's pushed routes lead, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_network

from django.utils.translation import gettext as _

from vpn.addressing.networks import contains
from vpn.desired.ways import Way, ways_of
from vpn.models import Instance, Peer
from vpn.presenters.lists import joined


@dataclass(frozen=True)
class PushedWay:
    """A pushed route and where it leads; `is_lost` if the hub drops its packets."""

    network: str
    words: str
    is_lost: bool = False


def pushed_ways(instance: Instance, sites: Iterable[Peer]) -> list[PushedWay]:
    """Where each pushed route leads; `sites` are the instance's site peers, read only where there is such a route."""
    server = instance.server
    own = dict(zip(server.addresses, server.endpoint_networks, strict=True)) if server is not None else {}
    shown = []
    for text, way in ways_of(instance).items():
        pushed = _in_words(instance, text, way, sites)
        kept = [address for address, endpoint in own.items() if contains(ip_network(text), endpoint)]
        if kept:
            direct = _("Devices reach %(addresses)s, the hub itself, directly.") % {"addresses": joined(kept)}
            pushed = replace(pushed, words=f"{pushed.words} {direct}")
        shown.append(pushed)
    return shown


def _in_words(instance: Instance, text: str, way: Way, sites: Iterable[Peer]) -> PushedWay:
    network = ip_network(text)
    # Subnets are stored in one way of writing, so that those around this one are looked up, not parsed.
    wider = {str(network.supernet(new_prefix=prefix)) for prefix in range(network.prefixlen + 1)}
    around = [site for site in sites if not wider.isdisjoint(site.subnets)]
    match way:
        case Way.SERVER:
            words = _("Behind the hub's server, as the operator allows: packets have the server's address as source.")
            return PushedWay(text, words)
        case Way.INTERNET:
            addresses = instance.server.addresses if instance.server is not None else ()
            source = next((address for address in addresses if (":" in address) == (network.version == 6)), "")
            if not source:
                return PushedWay(text, _("To the internet through the hub's server."))
            words = _("To the internet through the hub's server, from %(source)s.")
            return PushedWay(text, words % {"source": source})
        case Way.TUNNEL:
            if not around:
                return PushedWay(text, _("To the pool or sites of this hub."))
            return PushedWay(text, _("To %(site)s.") % {"site": around[0].label})
    disabled = next((site for site in around if not site.enabled), None)
    if disabled is not None:
        words = _("The hub drops it while %(site)s is disabled. Enable that site, or remove the route here.")
        return PushedWay(text, words % {"site": disabled.label}, is_lost=True)
    words = _("No site advertises it any more, so the hub drops it. Add it to a site, or remove it here.")
    return PushedWay(text, words, is_lost=True)
