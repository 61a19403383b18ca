"""A setting that lists networks."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of a list separated by commas. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
