"""The pool of an instance, and the host numbers in it.

A peer is known by its host number within its instance's pool; its IPv4 and its IPv6 address both follow from it.

    host 0                network address, not assigned
    host 1                the hub
    hosts 2 to last - 1   peers
    host last             the readiness probe (the last usable address of the IPv4 pool)
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from django.utils.translation import gettext as _

from vpn.addressing.reserved import reserved_reason

HUB_HOST = 1
FIRST_PEER_HOST = 2


class PoolExhausted(Exception):
    """No pool, or no host within a pool, is left."""


def choose_pool(base: IPv4Network, prefix: int, taken: Iterable[IPv4Network]) -> IPv4Network:
    """The lowest network of this prefix length in `base` that overlaps none of `taken`.

    The order is fixed, so that the same rows always give the same pool. Raises PoolExhausted if none is free, and
    ValueError if such a pool does not fit into `base`.
    """
    if not base.prefixlen <= prefix <= 30:
        raise ValueError(f"A /{prefix} pool does not fit into {base}.")
    size = 1 << (32 - prefix)
    candidate = int(base.network_address)
    for other in sorted(taken, key=lambda network: int(network.network_address)):
        if int(other.broadcast_address) < candidate:
            continue
        if int(other.network_address) >= candidate + size:
            break
        candidate = (int(other.broadcast_address) // size + 1) * size
    if candidate > int(base.broadcast_address):
        raise PoolExhausted(
            _("Every /%(prefix)s of %(base)s is taken. Choose a smaller pool, or delete an instance.")
            % {"prefix": prefix, "base": base}
        )
    return IPv4Network((candidate, prefix))


def random_ula(random_bytes: Callable[[int], bytes] = os.urandom) -> IPv6Network:
    """A random unique local /64: fd00::/8, 40 random bits of global ID, and subnet 0 (RFC 4193, section 3.2.2)."""
    while True:
        network = IPv6Network((b"\xfd" + random_bytes(5) + bytes(10), 64))
        if reserved_reason(network) is None:
            return network


def probe_host(pool: IPv4Network) -> int:
    """The host number that the readiness probe uses."""
    return pool.num_addresses - 2


def last_peer_host(pool: IPv4Network) -> int:
    """The highest host number that a peer may have."""
    return probe_host(pool) - 1


@lru_cache(maxsize=4096)
def pool_v4_of(text: str) -> IPv4Network:
    """An IPv4 pool from its text. Cached, as lists ask once for each of an instance's peers."""
    return IPv4Network(text)


@lru_cache(maxsize=4096)
def pool_v6_of(text: str) -> IPv6Network:
    """An IPv6 pool from its text, cached like an IPv4 pool."""
    return IPv6Network(text)


@lru_cache(maxsize=4096)
def unusable_hosts(pool_v4: IPv4Network, origin: IPv4Address) -> frozenset[int]:
    """The host numbers of the pool's network and broadcast addresses, where host 0 is `origin`."""
    offset = int(origin) - int(pool_v4.network_address)
    return frozenset({-offset % pool_v4.num_addresses, -offset % pool_v4.num_addresses - 1} - {0, -1})


def host_addresses(
    pool_v4: IPv4Network, pool_v6: IPv6Network, host: int, origin: IPv4Address | None = None
) -> tuple[IPv4Address, IPv6Address]:
    """Both addresses of a host number. Raises ValueError for a number that the pool does not have.

    `origin` is the first address that the pool had before it was widened. IPv4 addresses are counted from there, and
    after the pool's end from its start, so that each peer keeps its address. IPv6 is counted from the pool's start.
    """
    origin = origin or pool_v4.network_address
    if not HUB_HOST <= host <= probe_host(pool_v4) or host in unusable_hosts(pool_v4, origin):
        raise ValueError(f"{pool_v4} has no host {host}.")
    offset = int(origin) - int(pool_v4.network_address)
    return pool_v4[(offset + host) % pool_v4.num_addresses], pool_v6.network_address + host


@lru_cache(maxsize=32_768)
def own_networks(pool_v4: str, pool_v6: str, host: int, origin: str = "") -> tuple[str, str]:
    """Both addresses of a host number as a /32 and a /128, in text. Cached, as jobs ask for thousands of them."""
    began = IPv4Address(origin) if origin else None
    address_v4, address_v6 = host_addresses(pool_v4_of(pool_v4), pool_v6_of(pool_v6), host, began)
    return f"{address_v4}/32", f"{address_v6}/128"


def next_free_host(
    highest: int | None,
    taken: Callable[[], Iterable[int]],
    last: int,
    unusable: Collection[int] = (),
    *,
    resting: Callable[[], Sequence[int]] = tuple,
) -> int:
    """A free host number for a new peer, at most `last` and none of `unusable`.

    `highest` is the highest number that is in use or rests, None if there is none. The number after it is preferred.
    At the end of the pool, `taken()` gives the numbers in use, and `resting()` those of lately deleted peers, the
    longest deleted first. Then the lowest number that is in neither is chosen, else the first of `resting()`. Raises
    PoolExhausted.
    """
    candidate = max(highest or 0, FIRST_PEER_HOST - 1) + 1
    while candidate in unusable:
        candidate += 1
    if candidate <= last:
        return candidate
    in_use = {*taken(), *unusable}
    rested = [host for host in resting() if host not in in_use and FIRST_PEER_HOST <= host <= last]
    kept = in_use.union(rested)
    rising = (host for host in range(FIRST_PEER_HOST, last + 1) if host not in kept)
    chosen = next(rising, None) or next(iter(rested), None)
    if chosen is None:
        raise PoolExhausted(
            _("Every address of the pool is taken. Widen the pool in the instance's settings, or delete a peer.")
        )
    return chosen
