"""Ranges that no peer may advertise, and public ones, which belong to others on the internet."""

from functools import lru_cache

from django.utils.translation import gettext as _

from vpn.addressing.networks import Network, contains, is_broad, overlaps
from vpn.constants import (
    IN_GUEST_V4,
    IN_GUEST_V6,
    PRIVATE_NETWORKS_V4,
    PRIVATE_NETWORKS_V6,
    RESERVED_NETWORKS_V4,
    RESERVED_NETWORKS_V6,
)

# A network with a shorter prefix may contain a cloud's metadata service: it is not meant for that service.
_AIMED_AT_A_SERVICE = {4: 16, 6: 32}
IN_GUEST: frozenset[Network] = frozenset(
    [*(network for network, _words in IN_GUEST_V4), *(network for network, _words in IN_GUEST_V6)]
)
RESERVED_NETWORKS: tuple[tuple[Network, str], ...] = (*RESERVED_NETWORKS_V4, *RESERVED_NETWORKS_V6)
PRIVATE_NETWORKS: tuple[Network, ...] = (*PRIVATE_NETWORKS_V4, *PRIVATE_NETWORKS_V6)


def reserved_reason(network: Network) -> str | None:
    """Why this network may not be advertised ("it overlaps 127.0.0.0/8: loopback ..."), or None.

    A broad route may contain reserved ranges, which the firewall blocks all the same, but may not lie within one. A
    wide network may contain a cloud's metadata service: 100.64.0.0/10 contains Alibaba's.
    """
    found = _reserved_part(network)
    if found is None:
        return None
    reserved, words, is_within = found
    reason = _("it belongs to %(reserved)s: %(words)s") if is_within else _("it overlaps %(reserved)s: %(words)s")
    return reason % {"reserved": reserved, "words": _(words)}


@lru_cache(maxsize=32_768)
def _reserved_part(network: Network) -> tuple[Network, str, bool] | None:
    """The reserved network, its words, and whether it contains this one."""
    for reserved, words in RESERVED_NETWORKS:
        if contains(reserved, network):
            return reserved, words, True
        wide = reserved in IN_GUEST and network.prefixlen < _AIMED_AT_A_SERVICE[network.version]
        if overlaps(network, reserved) and not wide and not is_broad(network):
            return reserved, words, False
    return None


def is_public(network: Network) -> bool:
    """True if the network holds public addresses, which belong to others on the internet."""
    private = any(contains(block, network) for block in PRIVATE_NETWORKS)
    return not private and reserved_reason(network) is None
