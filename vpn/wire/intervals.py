"""Arithmetic with networks as ranges of numbers: join, subtract, nest, and convert back; fast for thousands of them.

For database queries, see `network_keys`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range
from typing import Final, NamedTuple, TypeAlias, TypeVar

Network: TypeAlias = IPv4Network | IPv6Network

BITS: Final = {4: 32, 6: 128}
_FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}

Owner = TypeVar("Owner", bound=Hashable)
Value = TypeVar("Value")


class Span(NamedTuple):
    """A range of addresses: its IP version, and its first and last address as numbers."""

    version: int
    first: int
    last: int

    def holds(self, other: Span) -> bool:
        """Return True if this span contains all of another one."""
        return self.version == other.version and self.first <= other.first and other.last <= self.last


def address_of(text: str) -> tuple[int, int]:
    """Return the version and the number of an address. Raises OSError if it is invalid."""
    version = 6 if ":" in text else 4
    return version, int.from_bytes(socket.inet_pton(_FAMILY[version], text), "big")


def text_of(version: int, address: int) -> str:
    """Return an address as text, the inverse of `address_of`."""
    return socket.inet_ntop(_FAMILY[version], address.to_bytes(BITS[version] // 8, "big"))


def span_of(network: str) -> Span:
    """Return the span of a canonical network ("10.0.0.0/8"), or of an address without a prefix."""
    text, _, length = network.partition("/")
    version, bits, family = (6, 128, socket.AF_INET6) if ":" in text else (4, 32, socket.AF_INET)
    first = int.from_bytes(socket.inet_pton(family, text), "big")
    last = first | ((1 << (bits - int(length))) - 1) if length else first
    return Span(version, first, last)


def is_single(network: str) -> bool:
    """Return True if a canonical network is a single address."""
    return network.endswith("/128" if ":" in network else "/32")


def span_of_network(network: Network) -> Span:
    """Return the span of a network object of the standard library."""
    first = int(network.network_address)
    return Span(network.version, first, first | ((1 << (network.max_prefixlen - network.prefixlen)) - 1))


def summarized(spans: Iterable[Span]) -> list[Network]:
    """Return the fewest networks that cover exactly these spans: IPv4 first, by address."""
    found: list[Network] = []
    for version, first, last in joined(spans):
        kind = IPv4Address if version == 4 else IPv6Address
        found += summarize_address_range(kind(first), kind(last))
    return found


def networks_of(spans: Iterable[Span]) -> list[str]:
    """Return the same networks as text."""
    return [str(network) for network in summarized(spans)]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same addresses as ordered spans that neither overlap nor adjoin."""
    found: list[Span] = []
    for span in sorted(spans):
        last = found[-1] if found else None
        if last is None or last.version != span.version or last.last + 1 < span.first:
            found.append(span)
        elif last.last < span.last:
            found[-1] = Span(span.version, last.first, span.last)
    return found


def without(span: Span, holes: Iterable[Span]) -> list[Span]:
    """Return a span minus `holes`, as ordered spans."""
    found = []
    position = span.first
    for hole in joined(holes):
        if hole.version != span.version or hole.last < position:
            continue
        if hole.first > span.last:
            break
        if position < hole.first:
            found.append(Span(span.version, position, hole.first - 1))
        position = hole.last + 1
    if position <= span.last:
        found.append(Span(span.version, position, span.last))
    return found


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Return the networks that no other one contains, in order."""
    return [span for span, _, around in nesting((span, None) for span in set(spans)) if not around]


def nesting(networks: Iterable[tuple[Span, Value]]) -> Iterator[tuple[Span, Value, list[tuple[Span, Value]]]]:
    """Yield networks in order, each with the networks that contain it, the widest first.

    The yielded list is reused for the next network. Networks must nest or be disjoint. Of two equal ones, the later
    counts as within the earlier.
    """
    around: list[tuple[Span, Value]] = []
    for span, value in sorted(networks, key=_wider_first):
        while around and not around[-1][0].holds(span):
            around.pop()
        yield span, value, around
        around.append((span, value))


def pieces(
    networks: Iterable[tuple[Span, Value]], inherit: Callable[[Value, Value], Value] | None = None
) -> Iterator[tuple[Span, Span, Value]]:
    """Split at all boundaries of networks and yield each piece with its narrowest network and that network's value.

    `inherit(value, outer)` returns the value of a network within another one whose value is `outer`.
    """
    around: list[tuple[Span, Value]] = []
    position = 0
    for span, value in sorted(networks, key=_wider_first):
        version, first, _ = span
        while around and (around[-1][0].last < first or around[-1][0].version != version):
            outer, outer_value = around.pop()
            if position <= outer.last:
                yield (
                    (outer if position == outer.first else Span(outer.version, position, outer.last)),
                    outer,
                    outer_value,
                )
                position = outer.last + 1
        if around:
            outer, outer_value = around[-1]
            if position < first:
                yield Span(version, position, first - 1), outer, outer_value
            if inherit is not None:
                value = inherit(value, outer_value)  # noqa: PLW2901 - the network's own value from here on
        position = first
        around.append((span, value))
    while around:
        outer, outer_value = around.pop()
        if position <= outer.last:
            yield (outer if position == outer.first else Span(outer.version, position, outer.last)), outer, outer_value
            position = outer.last + 1


def most_specific(networks: Iterable[tuple[Span, Owner]]) -> dict[Owner, list[Span]]:
    """Return by owner the addresses that it owns by longest prefix match, as joined spans."""
    found: dict[Owner, list[Span]] = {}
    for piece, _, owner in pieces(networks):
        found.setdefault(owner, []).append(piece)
    return {owner: joined(spans) for owner, spans in found.items()}


def _wider_first(valued: tuple[Span, object]) -> tuple[int, int, int]:
    version, first, last = valued[0]
    return version, first, -last
