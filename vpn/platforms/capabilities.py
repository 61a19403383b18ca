"""Which protocols each router platform can use, from which version on, and why it cannot use the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vpn.choices import Platform
from vpn.platforms.registry import PRODUCTS
from vpn.platforms.versions import release_of

WIREGUARD: Final = "wireguard"
OPENVPN: Final = "openvpn"


@dataclass(frozen=True)
class Capability:
    """Whether a platform carries a protocol to the hub, and how.

    `reason` says why it cannot. `note` says what an admin should know, such as limits. With `compat` it needs the
    compatibility listener (TCP, without tls-crypt-v2). `transports` are in the order in which to try them. With
    `static_routes` its routes are in its own configuration, as it accepts none that the hub pushes. `manual` is the
    address of the vendor's manual.
    """

    protocol: str
    offered: bool
    reason: str = ""
    note: str = ""
    since: str = ""
    compat: bool = False
    transports: tuple[str, ...] = ()
    static_routes: bool = False
    manual: str = ""


def capability(platform: str, protocol: str, version: str = "") -> Capability:
    """What the platform can do with this protocol; an unknown version counts as new enough.

    Raises ValueError for an unknown platform, KeyError for an unknown protocol.
    """
    product = PRODUCTS[Platform(platform)]
    rule = {WIREGUARD: product.wireguard, OPENVPN: product.openvpn}[protocol]
    since = ".".join(str(part) for part in rule.since)
    if rule.never:
        return Capability(protocol, offered=False, reason=str(rule.never))
    known = release_of(platform, version)
    if known and known < rule.since:
        return Capability(protocol, offered=False, reason=str(rule.before), since=since)
    return Capability(
        protocol,
        offered=True,
        note=str(rule.note),
        since=since,
        compat=rule.compat,
        transports=rule.transports,
        static_routes=rule.static_routes,
        manual=rule.manual,
    )


def capabilities(platform: str, version: str = "") -> dict[str, Capability]:
    """`capability` for every protocol."""
    return {protocol: capability(platform, protocol, version) for protocol in (WIREGUARD, OPENVPN)}


def needs_compat(platform: str, version: str = "") -> bool:
    """Whether OpenVPN on this router needs the compatibility listener."""
    return capability(platform, OPENVPN, version).compat


def has_static_routes(platform: str, version: str = "") -> bool:
    """Whether OpenVPN on this router needs its routes in its own configuration, as it accepts none from the hub."""
    return capability(platform, OPENVPN, version).static_routes


def why_not(platform: str, version: str, protocol: str) -> str:
    """Why this router cannot use the protocol, or "" if it can."""
    return capability(platform, protocol, version).reason
