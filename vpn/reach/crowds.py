"""Groups of owners with the same address classes: a change affects all of them in the same way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from vpn.reach.hub import SERVER
from vpn.reach.partition import INTERNET, AddressClass, Ownerships

Pairs = list[tuple[AddressClass, AddressClass]]


@dataclass(frozen=True, eq=False)
class Crowd:
    """Owners with the same address classes. Compared by identity, because each group exists once."""

    names: tuple[str, ...]
    kinds: frozenset[AddressClass]


def crowds_of(ownerships: Ownerships) -> list[Crowd]:
    """Return all owners of addresses, grouped by their address classes."""
    by_kinds: dict[frozenset[AddressClass], list[str]] = defaultdict(list)
    for name, held in ownerships.items():
        by_kinds[frozenset(held)].append(name)
    return [Crowd(tuple(names), kinds) for kinds, names in by_kinds.items()]


def pairs_of(source: Crowd, destination: Crowd) -> Pairs:
    """Return the pairs of their address classes that can communicate."""
    return pairs_between(source.kinds, destination.kinds)


def pairs_between(sources: Iterable[AddressClass], destinations: Iterable[AddressClass]) -> Pairs:
    """Return the pairs of address classes that can communicate: those of the same family."""
    return [(one, other) for one, other in product(sources, destinations) if one.version == other.version]


def peers_of(ownerships: Ownerships, name: str) -> set[str]:
    """Return the peers of an owner; the internet and networks behind the server have none."""
    if name == INTERNET:
        return set()
    peers = {peer for ownership in ownerships[name].values() for peer in ownership.peers}
    return {peer for peer in peers if peer is not None and not peer.startswith(SERVER)}
