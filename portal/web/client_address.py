"""Parsing of client addresses as proxies write them, and the network by which limits count them."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The smallest network that a provider gives to a customer (RFC 6177). A limit per single address would have no effect.
_IPV6_PREFIX: Final = 64
_IPV4_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_WITH_PORT: Final = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?")
# One `name=value` of a Forwarded header; a value is a token or a quoted string (RFC 7239, 4).
_PAIR: Final = re.compile(r'\s*(?P<name>[A-Za-z]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s",;]*))\s*')


def parse_address(text: str) -> Address | None:
    """Return the address in `203.0.113.7`, `203.0.113.7:1234`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:443`.

    An IPv4-mapped address (RFC 4291, 2.5.5.2) is the IPv4 address. None for anything else, such as `unknown`.
    """
    found = _WITH_PORT.fullmatch(text.strip())
    bare = (found["v6"] if found["v6"] is not None else found["v4"]) if found else text.strip()
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_network(text: str) -> Network:
    """Return a network of trusted proxies; an IPv4-mapped one becomes the IPv4 network. Raises ValueError."""
    network = ipaddress.ip_network(text.strip(), strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_IPV4_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return ipaddress.ip_network((str(mapped), network.prefixlen - _IPV4_MAPPED.prefixlen))
    return network


def last_forwarded(header: str) -> dict[str, str]:
    """Return the pairs of the last element of a Forwarded header (RFC 7239), names in lower case; empty if invalid."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(header):
        pair = _PAIR.match(header, position)
        if pair is None:
            return {}
        value = pair["token"] if pair["quoted"] is None else re.sub(r"\\(.)", r"\1", pair["quoted"])
        elements[-1][pair["name"].lower()] = value
        position = pair.end()
        separator = header[position : position + 1]
        if separator not in {"", ";", ","}:
            return {}
        if separator == ",":
            elements.append({})
        position += 1
    return elements[-1]


def counted_as(address: str) -> str:
    """Return the key by which limits count an address: itself for IPv4, its /64 for IPv6."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed) if parsed else address[:64]
