"""Networks of sites that lie within those of other sites, and so take a part of their traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from vpn.addressing.networks import Network
from vpn.wire.intervals import nesting, span_of_network


class Nested(NamedTuple):
    """A network of one site peer within another one's: `taker` receives traffic that `giver` would receive."""

    network: Network
    taker: UUID
    within: Network
    giver: UUID


def nested(sites: Mapping[UUID, tuple[Network, ...]]) -> list[Nested]:
    """Each network within one of another site peer, with the narrowest of those; in the order of addresses."""
    owners = {network: pk for pk, networks in sites.items() for network in networks}
    found = []
    for _, network, around in nesting((span_of_network(network), network) for network in owners):
        giver = next((wider for _, wider in reversed(around) if owners[wider] != owners[network]), None)
        if giver is not None:
            found.append(Nested(network, owners[network], giver, owners[giver]))
    return found
