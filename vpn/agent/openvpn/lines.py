"""Lines of openvpn's files."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable


def route_line(word: str, network: str) -> str:
    """Return a `route` or `iroute` line for a network of either family."""
    parsed = ipaddress.ip_network(network)
    if parsed.version == 6:
        return f"{word}-ipv6 {parsed}"
    return f"{word} {parsed.network_address} {parsed.netmask}"


def ended(lines: Iterable[str]) -> str:
    """Return lines joined to the text of a file."""
    return "".join(f"{line}\n" for line in lines)


@functools.lru_cache(maxsize=4)
def hub_addresses(addresses: tuple[str, ...]) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv6Interface | None]:
    """Return the hub's first address of each family; cached, because every peer's file needs them."""
    v4 = next(ipaddress.IPv4Interface(address) for address in addresses if ":" not in address)
    return v4, next((ipaddress.IPv6Interface(address) for address in addresses if ":" in address), None)
