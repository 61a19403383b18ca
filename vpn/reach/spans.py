"""Networks as numbers, and tables that find the networks around an address: addresses by the thousand, quickly."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import Generic, NamedTuple, TypeVar

_BITS = {4: 32, 6: 128}
_Value = TypeVar("_Value")


class Span(NamedTuple):
    """A network: its IP version, and its first and last address as numbers."""

    version: int
    first: int
    last: int


def address_of(text: str) -> tuple[int, int]:
    """The version and the number of an address. Raises OSError for what is none."""
    version = 6 if ":" in text else 4
    packed = socket.inet_pton(socket.AF_INET6 if version == 6 else socket.AF_INET, text)
    return version, int.from_bytes(packed, "big")


@lru_cache(maxsize=65_536)
def span_of(network: str) -> Span:
    """The span of a canonical network ("10.0.0.0/8"; an address without a prefix is a network of its own)."""
    text, _, length = network.partition("/")
    version, first = address_of(text)
    size = _BITS[version] - int(length or _BITS[version])
    return Span(version, first, first | ((1 << size) - 1))


def networks_of(spans: Iterable[Span]) -> list[str]:
    """The fewest networks that contain the addresses of these spans, and no others. Spans do not overlap."""
    networks: list[str] = []
    for version, first, last in _joined(spans):
        kind = IPv4Address if version == 4 else IPv6Address
        networks += [str(network) for network in summarize_address_range(kind(first), kind(last))]
    return networks


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and joined[-1].version == span.version and joined[-1].last + 1 == span.first:
            joined[-1] = Span(span.version, joined[-1].first, span.last)
        else:
            joined.append(span)
    return joined


def outermost(spans: Iterable[Span]) -> list[Span]:
    """These networks without those within another one of them."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.version, span.first, -span.last)):
        if not found or found[-1].version != span.version or found[-1].last < span.first:
            found.append(span)
    return found


class Table(Generic[_Value]):
    """Values by network, looked up by address."""

    def __init__(self) -> None:
        # By version and number of host bits, so that an address asks one dictionary for each length in use.
        self._by_size: dict[tuple[int, int], dict[int, _Value]] = {}
        self._sizes: dict[int, list[int]] = {4: [], 6: []}

    def get(self, network: str) -> _Value | None:
        """The value that stands at exactly this network."""
        version, first, last = span_of(network)
        return self._by_size.get((version, (last - first).bit_length()), {}).get(first)

    def put(self, network: str, value: _Value) -> None:
        """Let `value` stand at a canonical network, in place of what stood there."""
        version, first, last = span_of(network)
        size = (last - first).bit_length()
        if (version, size) not in self._by_size:
            self._by_size[version, size] = {}
            self._sizes[version] = sorted([*self._sizes[version], size])
        self._by_size[version, size][first] = value

    def around(self, version: int, address: int) -> Iterator[_Value]:
        """The values of the networks that contain an address, the most specific network first."""
        for size in self._sizes[version]:
            found = self._by_size[version, size]
            first = address >> size << size
            if first in found:
                yield found[first]
