"""The public addresses of this machine's hubs."""

from __future__ import annotations

import ipaddress
import json
import subprocess

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Unique local addresses (RFC 4193) have global scope for the kernel, but no outside machine reaches them.
_LOCAL_V6 = ipaddress.IPv6Network("fc00::/7")


def default_hub_addresses(netns: str | None) -> tuple[str, ...]:
    """Return the first global address of each family of the host, or of HUB_HOST_NETNS; IPv4 first.

    It changes nothing. Empty if there is no such address, or `ip` is missing.
    """
    found = _global_addresses(netns)
    v4 = next((address for address in found if address.version == 4), None)
    v6 = [address for address in found if isinstance(address, ipaddress.IPv6Address)]
    outside = [address for address in v6 if address not in _LOCAL_V6]
    # Use a unique local address only if there is no other.
    chosen = [v4, *outside[:1]] if v4 is not None else (outside or v6)[:1]
    return tuple(str(address) for address in chosen)


def parse_hub_addresses(text: str) -> tuple[str, ...]:
    """Parse HUB_ADDRESS: an address, or one of each family, separated by a comma or white space; IPv4 first.

    Raises ValueError with the expected form.
    """
    words = text.replace(",", " ").split()
    try:
        found = sorted((ipaddress.ip_address(word) for word in words), key=lambda address: address.version)
    except ValueError:
        raise ValueError(f"HUB_ADDRESS must be an IPv4 or IPv6 address, or one of each, not {text!r}") from None
    for address in found:
        if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
            raise ValueError(f"HUB_ADDRESS must be an address by which other machines reach this one, not {address}")
    if len({address.version for address in found}) < len(found):
        raise ValueError(f"HUB_ADDRESS takes one address of each family, IPv4 and IPv6, not {text!r}")
    return tuple(str(address) for address in found)


def _global_addresses(netns: str | None) -> list[_Address]:
    command = ["ip", "-j", "addr"]
    if netns:
        command[:0] = ["nsenter", f"--net=/run/netns/{netns}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    found = [
        ipaddress.ip_address(entry["local"])
        for link in json.loads(answer or "[]")
        for entry in link.get("addr_info", [])
        if entry.get("scope") == "global" and not {"deprecated", "temporary", "tentative"} & entry.keys()
    ]
    return [address for address in found if not address.is_loopback and not address.is_link_local]
