"""Alias subnets: networks by which all others reach a LAN that another site has, too.

A site's router translates one to one: host 10 of the LAN is host 10 of the alias. The hub knows the alias alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from itertools import combinations

from django.utils.translation import gettext as _

from vpn.addressing.networks import is_broad
from vpn.addressing.reserved import reserved_reason

# Aliases are proposed from here: seldom used, and far from what routers have when they are new.
BASE = IPv4Network("10.224.0.0/11")
MOST_ALIASES = 50


class AliasFault(ValueError):
    """An alias that cannot be used; the text says why."""


@dataclass(frozen=True)
class Alias:
    """A LAN, and the network of the same size that stands for it in the tunnels."""

    lan: IPv4Network
    subnet: IPv4Network

    def __str__(self) -> str:
        return f"{self.lan}={self.subnet}"


def parse_alias(text: str) -> Alias:
    """An alias as it is typed and stored: LAN=ALIAS. Raises AliasFault."""
    lan, equals, subnet = (part.strip() for part in text.partition("="))
    if not equals:
        raise AliasFault(_("Enter the LAN, = and its alias, such as 192.168.88.0/24=10.224.0.0/24."))
    alias = Alias(_network(lan), _network(subnet))
    if alias.lan.prefixlen != alias.subnet.prefixlen:
        raise AliasFault(_("%(alias)s: both networks have the same size.") % {"alias": alias})
    if is_broad(alias.lan):
        raise AliasFault(_("%(alias)s: this is too wide for an alias.") % {"alias": alias})
    for network in (alias.lan, alias.subnet):
        if reason := reserved_reason(network):
            raise AliasFault(
                _("%(network)s cannot be used: %(reason)s.") % {"network": network, "reason": reason.rstrip(".")}
            )
    return alias


def _network(text: str) -> IPv4Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise AliasFault(_("%(text)s is no network. Enter one such as 10.224.0.0/24.") % {"text": text[:50]}) from None
    if not isinstance(network, IPv4Network):
        raise AliasFault(_("%(text)s: an alias is for IPv4 alone.") % {"text": network})
    return network


def checked_aliases(texts: Sequence[str], subnets: Iterable[str] = ()) -> list[str]:
    """The aliases as they are stored, for a site with these subnets. Raises AliasFault."""
    if len(texts) > MOST_ALIASES:
        raise AliasFault(_("A site has at most %(most)s aliases.") % {"most": MOST_ALIASES})
    aliases = list(dict.fromkeys(map(parse_alias, texts)))
    networks = [network for alias in aliases for network in (alias.lan, alias.subnet)]
    for one, other in combinations(networks, 2):
        if one.overlaps(other):
            raise AliasFault(_("%(one)s and %(other)s overlap. Choose other networks.") % {"one": one, "other": other})
    stands_for = {str(alias.subnet) for alias in aliases}
    plain = [ip_network(text) for text in published(subnets, map(str, aliases)) if text not in stands_for]
    for network in plain:
        for other in networks:
            if isinstance(network, IPv4Network) and not is_broad(network) and network.overlaps(other):
                raise AliasFault(
                    _("%(one)s and %(other)s overlap. Choose other networks.") % {"one": network, "other": other}
                )
    return list(map(str, aliases))


def published(subnets: Iterable[str], aliases: Iterable[str], former: Iterable[str] = ()) -> list[str]:
    """The subnets by which others reach them: an alias in place of its LAN. A text that is no network stays.

    The LAN comes back in place of an alias that is in `former` alone.
    """
    back = {str(alias.subnet): str(alias.lan) for alias in map(parse_alias, former)}
    there = {str(alias.lan): str(alias.subnet) for alias in map(parse_alias, aliases)}
    for subnet in there.values():
        back.pop(subnet, None)
    lans = (back.get(text, text) for text in map(_canonical, subnets))
    return list(dict.fromkeys(there.get(text, text) for text in lans))


def _canonical(text: str) -> str:
    with suppress(ValueError):
        return str(ip_network(text.strip()))
    return text


def aliases_among(subnets: Iterable[str], aliases: Iterable[str]) -> tuple[Alias, ...]:
    """The aliases whose networks are among these published subnets."""
    known = {*subnets}
    return tuple(alias for alias in map(parse_alias, aliases) if str(alias.subnet) in known)
