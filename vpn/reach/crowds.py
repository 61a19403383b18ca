"""Those who have the very same kinds of addresses, put together: what changes for one of them changes for all."""

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
    """Some who have the same kinds of addresses. Compared by identity: one list has each of them once."""

    names: tuple[str, ...]
    kinds: frozenset[AddressClass]


def crowds_of(ownerships: Ownerships) -> list[Crowd]:
    """All who hold addresses, by the kinds that they have."""
    by_kinds: dict[frozenset[AddressClass], list[str]] = defaultdict(list)
    for name, held in ownerships.items():
        by_kinds[frozenset(held)].append(name)
    return [Crowd(tuple(names), kinds) for kinds, names in by_kinds.items()]


def pairs_of(source: Crowd, destination: Crowd) -> Pairs:
    """The kinds of one and the other that can speak to each other."""
    return pairs_between(source.kinds, destination.kinds)


def pairs_between(sources: Iterable[AddressClass], destinations: Iterable[AddressClass]) -> Pairs:
    """The pairs of kinds that can speak to each other: those of one family."""
    return [(one, other) for one, other in product(sources, destinations) if one.version == other.version]


def peers_of(ownerships: Ownerships, name: str) -> set[str]:
    """The peers of one who holds addresses; the internet and networks behind the server have none."""
    if name == INTERNET:
        return set()
    peers = {peer for ownership in ownerships[name].values() for peer in ownership.peers}
    return {peer for peer in peers if peer is not None and not peer.startswith(SERVER)}
