"""Ranges that no peer may advertise, and public ones, which belong to others on the internet."""

from functools import lru_cache

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
    [*(network for network, _ in IN_GUEST_V4), *(network for network, _ in IN_GUEST_V6)]
)
RESERVED_NETWORKS: tuple[tuple[Network, str], ...] = (*RESERVED_NETWORKS_V4, *RESERVED_NETWORKS_V6)
PRIVATE_NETWORKS: tuple[Network, ...] = (*PRIVATE_NETWORKS_V4, *PRIVATE_NETWORKS_V6)


@lru_cache(maxsize=32_768)
def reserved_reason(network: Network) -> str | None:
    """Why this network may not be advertised ("it overlaps 127.0.0.0/8: loopback ..."), or None.

    A broad route may contain reserved ranges, which the firewall blocks all the same, but may not lie within one. A
    wide network may contain a cloud's metadata service: 100.64.0.0/10 contains Alibaba's.
    """
    for reserved, words in RESERVED_NETWORKS:
        if contains(reserved, network):
            return f"it belongs to {reserved}: {words}"
        wide = reserved in IN_GUEST and network.prefixlen < _AIMED_AT_A_SERVICE[network.version]
        if overlaps(network, reserved) and not wide and not is_broad(network):
            return f"it overlaps {reserved}: {words}"
    return None


def is_public(network: Network) -> bool:
    """True if the network holds public addresses, which belong to others on the internet."""
    private = any(contains(block, network) for block in PRIVATE_NETWORKS)
    return not private and reserved_reason(network) is None
