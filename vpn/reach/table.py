"""Lookup tables for the networks around an address, fast for thousands of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Generic, TypeVar

from vpn.wire import intervals

_Value = TypeVar("_Value")

# Cached, because the same networks are parsed repeatedly.
span_of = lru_cache(maxsize=65_536)(intervals.span_of)


class Table(Generic[_Value]):
    """Values by network, looked up by address."""

    def __init__(self) -> None:
        # By version and number of host bits: a lookup reads one dictionary for each prefix length in use.
        self._by_size: dict[tuple[int, int], dict[int, _Value]] = {}
        self._sizes: dict[int, list[int]] = {4: [], 6: []}

    def get(self, network: str) -> _Value | None:
        """Return the value of exactly this network."""
        version, first, last = span_of(network)
        return self._by_size.get((version, (last - first).bit_length()), {}).get(first)

    def put(self, network: str, value: _Value) -> None:
        """Set the value of a canonical network."""
        version, first, last = span_of(network)
        size = (last - first).bit_length()
        if (version, size) not in self._by_size:
            self._by_size[version, size] = {}
            self._sizes[version] = sorted([*self._sizes[version], size])
        self._by_size[version, size][first] = value

    def around(self, version: int, address: int) -> Iterator[_Value]:
        """Yield the values of the networks that contain an address, the longest prefix first."""
        for size in self._sizes[version]:
            found = self._by_size[version, size]
            first = address >> size << size
            if first in found:
                yield found[first]
