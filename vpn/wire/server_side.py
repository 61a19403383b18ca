"""What the hub's own server is to its tunnels: where devices find it, and the little of it that they reach."""

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
    """The server, checked.

    `addresses` are its public ones: no split tunnel takes them, as the tunnel itself goes there. `networks` lie behind
    the server and are opened to the tunnels, masqueraded. `portal_port` is the TCP port of the portal at `addresses`,
    None where it is not on this server: of the server itself a tunnel reaches that alone.
    """

    addresses: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    portal_port: int | None = None

    @property
    def reached(self) -> tuple[str, ...]:
        """The networks that no tunnel leads to: those opened, and the server's own addresses, whatever is opened."""
        own = (f"{address}/{128 if ':' in address else 32}" for address in self.addresses)
        return (*self.networks, *own)

    def is_within(self, addresses: Iterable[str]) -> bool:
        """Return whether a network lies within the pool that one of the hub's `addresses` is of."""
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
    """Return the server that `value` (JSON data) describes; `faults` is told what is wrong."""
    if value is None:
        return NO_SERVER
    data = parsing.fields_of(value, "server", _FIELDS, faults)
    port = data.get("portal_port")
    networks = parsing.networks(data.get("networks"), "server networks", faults)
    if any(_is_forbidden(network) for network in networks):
        faults.append("server networks hold a default route, or the metadata address of a cloud")
    addresses = parsing.hosts(data.get("addresses"), "server addresses", faults)
    if any(_is_no_servers(address) for address in addresses):
        faults.append("server addresses hold one that no other machine reaches, such as loopback or multicast")
    return ServerSide(
        addresses=addresses,
        networks=networks,
        portal_port=None if port is None else parsing.number(port, "server portal_port", 1, 65535, faults),
    )


def of_family(texts: Iterable[str], family: int) -> list[str]:
    """Return those addresses or networks that are of one family."""
    return [text for text in texts if (":" in text) == (family == 6)]


def without_addresses(network: str, addresses: Iterable[str]) -> list[str]:
    """Return a network without single addresses that lie within it, as few networks as can be."""
    return networks_of(without(span_of(network), map(span_of, addresses)))


def _is_forbidden(network: str) -> bool:
    parsed = ipaddress.ip_network(network)
    return not parsed.prefixlen or any(
        parsed.version == metadata.version and parsed.overlaps(metadata) for metadata in METADATA
    )


def _is_no_servers(text: str) -> bool:
    """Whether an address is none by which devices find a server: loopback, multicast, unspecified, link-local."""
    address = ipaddress.ip_address(text)
    is_broadcast = address.version == 4 and int(address) == 2**32 - 1
    return (
        address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local or is_broadcast
    )
