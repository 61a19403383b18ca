"""Pools, host numbers and routes: pure arithmetic on addresses, with no database and no Django.

A peer is known by its host number within its instance's pool; its IPv4 and its IPv6 address both follow from it.

    host 0                network address, not assigned
    host 1                the hub
    hosts 2 to last - 1   peers
    host last             the readiness probe (the last usable address of the IPv4 pool)
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, TypeAlias

from vpn.constants import (
    IN_GUEST_V4,
    IN_GUEST_V6,
    PRIVATE_NETWORKS_V4,
    PRIVATE_NETWORKS_V6,
    RESERVED_NETWORKS_V4,
    RESERVED_NETWORKS_V6,
)
from vpn.wire import intervals
from vpn.wire.intervals import outermost, span_of_network
from vpn.wire.network_keys import Sorted, key_of
from vpn.wire.network_keys import network_of as network_of_key
from vpn.wire.reserved import BROAD_PREFIX

Network: TypeAlias = intervals.Network
FaultCode: TypeAlias = Literal["duplicate", "broad_unconfirmed", "nested_unconfirmed", "reserved", "overlap"]

# A network of a shorter prefix that contains a cloud's service for its machines is about something else.
_ABOUT_A_SERVICE = {4: 16, 6: 32}
IN_GUEST: frozenset[Network] = frozenset(
    [*(network for network, _ in IN_GUEST_V4), *(network for network, _ in IN_GUEST_V6)]
)
RESERVED_NETWORKS: tuple[tuple[Network, str], ...] = (*RESERVED_NETWORKS_V4, *RESERVED_NETWORKS_V6)
PRIVATE_NETWORKS: tuple[Network, ...] = (*PRIVATE_NETWORKS_V4, *PRIVATE_NETWORKS_V6)

HUB_HOST = 1
FIRST_PEER_HOST = 2


class PoolExhausted(Exception):
    """No pool, or no host within a pool, is left."""


@dataclass(frozen=True)
class Claim:
    """A network that another peer of the instance advertises. `owner` is named in refusals: "the site Berlin"."""

    owner: str
    network: Network


@dataclass(frozen=True)
class Fault:
    """Why a subnet is refused: the subnet, a stable code, and words that name the other side."""

    network: Network
    code: FaultCode
    message: str


def choose_pool(base: IPv4Network, prefix: int, taken: Iterable[IPv4Network]) -> IPv4Network:
    """The lowest network of this prefix length in `base` that overlaps none of `taken`.

    The order is fixed, so that the same rows always give the same pool. Raises PoolExhausted where nothing is
    free, and ValueError where `prefix` is not within `base`.
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
        raise PoolExhausted(f"Every /{prefix} of {base} is taken. Choose a smaller pool, or delete an instance.")
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


def unusable_hosts(pool_v4: IPv4Network, origin: IPv4Address) -> frozenset[int]:
    """The host numbers of the pool's network and broadcast addresses, where host 0 is `origin`."""
    offset = int(origin) - int(pool_v4.network_address)
    return frozenset({-offset % pool_v4.num_addresses, -offset % pool_v4.num_addresses - 1} - {0, -1})


def host_addresses(
    pool_v4: IPv4Network, pool_v6: IPv6Network, host: int, origin: IPv4Address | None = None
) -> tuple[IPv4Address, IPv6Address]:
    """Both addresses of a host number. Raises ValueError for a number that the pool does not have.

    `origin` is where a pool that was widened began before: IPv4 addresses are counted from there, and behind the end of
    the pool from its begin, so that every address stays. IPv6 addresses are counted from the begin of their pool.
    """
    origin = origin or pool_v4.network_address
    if not HUB_HOST <= host <= probe_host(pool_v4) or host in unusable_hosts(pool_v4, origin):
        raise ValueError(f"{pool_v4} has no host {host}.")
    offset = int(origin) - int(pool_v4.network_address)
    return pool_v4[(offset + host) % pool_v4.num_addresses], pool_v6.network_address + host


@lru_cache(maxsize=32_768)
def own_networks(pool_v4: str, pool_v6: str, host: int, origin: str = "") -> tuple[str, str]:
    """Both addresses of a host number as networks of their own, in text: asked for by the thousand."""
    began = IPv4Address(origin) if origin else None
    address_v4, address_v6 = host_addresses(IPv4Network(pool_v4), IPv6Network(pool_v6), host, began)
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

    `highest` is the highest number that is in use or rests, None where there is none. The number after it is
    preferred. Only when the end of the pool is reached are the numbers in use asked for, with `taken()`, and those
    that rest because their peers were deleted lately, with `resting()`, the longest first: then the lowest number that
    does neither is chosen, else the one that rests longest. Raises PoolExhausted.
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
            "Every address of the pool is taken. Widen the pool in the instance's settings, or delete a peer."
        )
    return chosen


def is_broad(network: Network) -> bool:
    """The default route, or anything wider than /8 (IPv6: /32): needs the admin's explicit confirmation."""
    return network.prefixlen < BROAD_PREFIX[network.version]


def network_of(address: str) -> Network:
    """A single address, in text, as a network of its own."""
    parsed = ip_address(address)
    return IPv4Network(parsed) if isinstance(parsed, IPv4Address) else IPv6Network(parsed)


def is_default_route(network: Network) -> bool:
    """0.0.0.0/0 or ::/0."""
    return network.prefixlen == 0


def overlaps(one: Network, other: Network) -> bool:
    """Whether two networks share an address; never true across address families."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def contains(outer: Network, inner: Network) -> bool:
    """Whether every address of `inner` is in `outer`; never true across address families."""
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)


@lru_cache(maxsize=32_768)
def reserved_reason(network: Network) -> str | None:
    """Why this network may not be advertised ("it overlaps 127.0.0.0/8: loopback ..."), or None.

    A broad route may contain reserved ranges, which stay blocked, but may not lie within one. So may a wide one that
    contains a service of a cloud: 100.64.0.0/10 is not about Alibaba's.
    """
    for reserved, words in RESERVED_NETWORKS:
        if contains(reserved, network):
            return f"it belongs to {reserved}: {words}"
        wide = reserved in IN_GUEST and network.prefixlen < _ABOUT_A_SERVICE[network.version]
        if overlaps(network, reserved) and not wide and not is_broad(network):
            return f"it overlaps {reserved}: {words}"
    return None


def is_public(network: Network) -> bool:
    """Whether some of its addresses are public ones, which belong to others on the internet."""
    private = any(contains(block, network) for block in PRIVATE_NETWORKS)
    return not private and reserved_reason(network) is None


def subnet_faults(
    networks: Sequence[Network],
    *,
    pool_v4: IPv4Network,
    pool_v6: IPv6Network,
    others: Iterable[Claim],
    confirm_broad: bool,
    advertised: Collection[Network] = (),
) -> list[Fault]:
    """Every reason why a site peer may not advertise `networks`, in their order; an empty list where it may.

    `others` are the claims of the instance's other peers, `advertised` what the peer advertises already, which was
    confirmed then. The more specific route wins: networks of two peers may nest once that is confirmed, and a
    confirmed network may contain the pool. Equal networks are a conflict, and so is a network inside the pool.
    """
    faults: list[Fault] = []
    seen: set[Network] = set()
    pools = [Claim("the instance's pool", pool_v4), Claim("the instance's pool", pool_v6)]
    claims = _Claims([*others, *pools])
    for network in networks:
        if network in seen:
            faults.append(Fault(network, "duplicate", f"{network} is listed twice. Remove one of them."))
            continue
        seen.add(network)
        confirmed = confirm_broad or network in advertised
        fault = _fault(network, confirmed) or _conflict(network, pools, claims)
        if fault is None and not confirmed:
            fault = _unconfirmed_nesting(network, claims)
        if fault is not None:
            faults.append(fault)
    return faults


class _Claims:
    """Claims in the order of their addresses: what nests with a network is found in log n steps, however many."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self.by_network: dict[Network, Claim] = {}
        for claim in claims:
            self.by_network.setdefault(claim.network, claim)
        # A broad route of another peer was confirmed with all that it contains.
        self._narrow = Sorted(key_of(network) for network in self.by_network if not is_broad(network))

    def nesting(self, network: Network) -> Claim | None:
        """The narrowest claim around a network, else the first one within it."""
        key = self._narrow.around(network) or self._narrow.within(network)
        return self.by_network[network_of_key(key)] if key is not None else None


def _fault(network: Network, confirmed: bool) -> Fault | None:
    reason = reserved_reason(network)
    if reason is not None:
        return Fault(network, "reserved", f"{network} cannot be advertised, as {reason}.")
    if is_broad(network) and not confirmed:
        return Fault(network, "broad_unconfirmed", _broad_message(network))
    return None


def _conflict(network: Network, pools: Iterable[Claim], claims: _Claims) -> Fault | None:
    """What no confirmation helps against: a network that another one has, or a part of the pool."""
    same = claims.by_network.get(network)
    if same is not None and same not in pools:
        return Fault(network, "overlap", f"{network} is advertised by {same.owner} already.")
    for pool in pools:
        if contains(pool.network, network):
            message = f"{network} overlaps {pool.network} of {pool.owner}. Choose ranges that do not overlap."
            return Fault(network, "overlap", message)
    return None


def _unconfirmed_nesting(network: Network, claims: _Claims) -> Fault | None:
    """What goes once it is confirmed."""
    claim = None if is_broad(network) else claims.nesting(network)
    if claim is None:
        return None
    inside = contains(claim.network, network)
    words = (
        f"{network} lies within {claim.network} of {claim.owner} and would take its traffic from there"
        if inside
        else f"{network} contains {claim.network} of {claim.owner}, which keeps its traffic"
    )
    message = f"{words}: the more specific route wins. Confirm that to add it."
    return Fault(network, "nested_unconfirmed", message)


def _broad_message(network: Network) -> str:
    if is_default_route(network):
        return f"{network} is the default route: all traffic would go to this site. Confirm the broad route to add it."
    limit = BROAD_PREFIX[network.version]
    return f"{network} is wider than /{limit}. Confirm the broad route to add it."


def subnet_warnings(networks: Iterable[Network]) -> list[str]:
    """What an admin should know about subnets that are allowed: public ranges. Broad routes were confirmed already."""
    return [
        f"{network} is a public range: connected peers will reach these addresses through this site only."
        for network in networks
        if not is_broad(network) and is_public(network)
    ]


def split_tunnel_routes(
    pool_v4: IPv4Network,
    pool_v6: IPv6Network,
    subnets: Iterable[Network],
    pushed: Iterable[Network],
    endpoints: Iterable[Network] = (),
) -> list[Network]:
    """What a split tunnel sends to the hub: the pool, every advertised subnet, the pushed routes; sorted.

    `endpoints` are left out: the tunnel's own packets go there, past the tunnel.

    A network inside another one is left out. Neighbours are not merged, so that an admin recognises what was
    entered. A site's default route is left out too: it is the way out for those who send all their traffic, and
    would turn every split tunnel into a full one.
    """
    wanted = (network for network in (pool_v4, pool_v6, *subnets, *pushed) if not is_default_route(network))
    by_span = {span_of_network(network): network for network in wanted}
    routes = [by_span[span] for span in outermost(by_span)]
    for endpoint in endpoints:
        routes = [part for route in routes for part in without(route, endpoint)]
    return routes


def without(network: Network, endpoint: Network) -> list[Network]:
    """A network without a part of it, as few networks as can be, in the order of addresses."""
    if not contains(network, endpoint):
        return [network]
    return intervals.summarized(intervals.without(span_of_network(network), [span_of_network(endpoint)]))


def merged(networks: Iterable[Network]) -> list[Network]:
    """The same addresses in as few networks as can be, to be read: neighbours are one, IPv4 comes first."""
    return intervals.summarized(map(span_of_network, networks))
