"""The hub's server as seen from its tunnels: its public addresses, and what tunnels may reach of it and behind it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vpn.wire import parsing
from vpn.wire.documents import ServerDocument
from vpn.wire.intervals import networks_of, span_of, span_of_network, without
from vpn.wire.parsing import Faults
from vpn.wire.reserved import METADATA

_FIELDS: Final = frozenset({"addresses", "networks", "portal_port"})


@dataclass(frozen=True)
class ServerSide:
    """The validated server.

    `addresses` are its public ones. They are never routed into a split tunnel, because the encrypted packets go there.
    `networks` behind the server are opened to the tunnels, masqueraded. `portal_port` is the TCP port of the portal at
    `addresses`, or None if the portal runs elsewhere. It is the only port of the server that tunnels may reach.
    """

    addresses: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    portal_port: int | None = None

    @property
    def reached(self) -> tuple[str, ...]:
        """The networks that are routed to the server, not into a tunnel: the opened ones, and its own addresses."""
        own = (f"{address}/{128 if ':' in address else 32}" for address in self.addresses)
        return (*self.networks, *own)

    def is_within(self, addresses: Iterable[str]) -> bool:
        """Return True if an opened network lies within the pool of one of the hub's `addresses`."""
        pools = [span_of_network(ipaddress.ip_interface(address).network) for address in addresses]
        opened = [span_of(network) for network in self.networks]
        return any(pool.holds(one) for pool in pools for one in opened)

    def document(self) -> ServerDocument:
        """Return it as JSON data."""
        return {
            "addresses": list(self.addresses),
            "networks": list(self.networks),
            "portal_port": self.portal_port,
        }


NO_SERVER: Final = ServerSide()


def parse_server(value: object, faults: Faults) -> ServerSide:
    """Return the server that `value` (JSON data) describes; adds to `faults`."""
    if value is None:
        return NO_SERVER
    data = parsing.fields_of(value, "server", _FIELDS, faults)
    port = data.get("portal_port")
    networks = parsing.networks(data.get("networks"), "server networks", faults)
    if any(_is_forbidden(network) for network in networks):
        faults.append("server networks contain a default route, or the metadata address of a cloud")
    addresses = parsing.hosts(data.get("addresses"), "server addresses", faults)
    if any(is_no_server_address(address) for address in addresses):
        faults.append("server addresses contain one that other machines cannot reach, such as loopback or multicast")
    return ServerSide(
        addresses=addresses,
        networks=networks,
        portal_port=None if port is None else parsing.number(port, "server portal_port", 1, 65535, faults),
    )


def of_family(texts: Iterable[str], family: int) -> list[str]:
    """Return the addresses or networks of one family."""
    return [text for text in texts if (":" in text) == (family == 6)]


def without_addresses(network: str, addresses: Iterable[str]) -> list[str]:
    """Return a network minus single addresses, as the fewest networks."""
    return networks_of(without(span_of(network), map(span_of, addresses)))


def _is_forbidden(network: str) -> bool:
    parsed = ipaddress.ip_network(network)
    return not parsed.prefixlen or any(
        parsed.version == metadata.version and parsed.overlaps(metadata) for metadata in METADATA
    )


def is_no_server_address(text: str) -> bool:
    """Return True for loopback, multicast, unspecified, link-local and broadcast: devices reach no server there."""
    address = ipaddress.ip_address(text)
    is_broadcast = address.version == 4 and int(address) == 2**32 - 1
    return (
        address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local or is_broadcast
    )
