"""The routes of split tunnels."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from vpn.addressing.networks import Network, is_default_route, without
from vpn.wire.intervals import Span, nesting, outermost, span_of_network

Value = TypeVar("Value")


class SplitRoutes:
    """The routes through the split tunnels of one instance, sorted once for all its devices and sites.

    A device has the pools, every advertised subnet and the pushed routes. A site has the same without its own networks,
    in time that grows with those alone. `endpoints` are cut out, as the tunnel's own packets must reach the hub outside
    the tunnel. A network inside another one is left out. Neighbours are not merged, so that an admin recognises what
    was entered. A site's default route is left out: it serves full tunnels alone, and would turn every split tunnel
    into a full one.
    """

    def __init__(
        self,
        pools: tuple[IPv4Network, IPv6Network],
        subnets: Iterable[Network],
        pushed: Iterable[Network],
        endpoints: Iterable[Network] = (),
    ) -> None:
        self._pools = {span_of_network(network) for network in pools}
        self._endpoints = [(endpoint, span_of_network(endpoint)) for endpoint in endpoints]
        wanted = (network for network in (*pools, *subnets, *pushed) if not is_default_route(network))
        self._networks = {span_of_network(network): network for network in wanted}
        # What lies within each network that is in no other one.
        self._within: dict[Span, list[Span]] = {}
        for span, _, around in nesting((span, None) for span in self._networks):
            if around:
                self._within[around[0][0]].append(span)
            else:
                self._within[span] = []
        # Which of `routes` each of these networks became: several, or none, where an endpoint is cut out of it.
        self._places: dict[Span, tuple[int, int]] = {}
        found: list[Network] = []
        for span in self._within:
            begin = len(found)
            found += self._cut(span)
            self._places[span] = begin, len(found)
        self.routes = tuple(found)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The routes of a device as text, in the same order."""
        return tuple(map(str, self.routes))

    @cached_property
    def sorted_texts(self) -> list[str]:
        """The routes of a device as text, in the order of characters."""
        return sorted(self.texts)

    def without(self, own: Iterable[Network]) -> tuple[Network, ...]:
        """The routes of a site with these networks, sorted."""
        return tuple(self._spliced(self.routes, own, lambda network: network))

    def texts_without(self, own: Iterable[Network]) -> Iterator[str]:
        """The same as text."""
        return self._spliced(self.texts, own, str)

    def sorted_texts_without(self, own: Iterable[Network]) -> list[str]:
        """The same in the order of characters."""
        found = self.sorted_texts.copy()
        for span, inner in self._gone(own).items():
            for text in self.texts[slice(*self._places[span])]:
                del found[bisect_left(found, text)]
            for network in inner:
                insort(found, str(network))
        return found

    def _spliced(
        self, routes: Sequence[Value], own: Iterable[Network], made_of: Callable[[Network], Value]
    ) -> Iterator[Value]:
        position = 0
        for span, inner in self._gone(own).items():
            begin, end = self._places[span]
            yield from routes[position:begin]
            yield from map(made_of, inner)
            position = end
        yield from routes[position:]

    def _gone(self, own: Iterable[Network]) -> dict[Span, list[Network]]:
        """The networks of a site that are in no other one, in order, and the routes within each that stay."""
        taken = {span_of_network(network) for network in own} - self._pools
        return {
            span: [part for one in outermost(set(self._within[span]) - taken) for part in self._cut(one)]
            for span in sorted(taken & self._within.keys())
        }

    def _cut(self, span: Span) -> list[Network]:
        parts = [self._networks[span]]
        for endpoint, place in self._endpoints:
            if span.holds(place):
                parts = [left for part in parts for left in without(part, endpoint)]
        return parts
