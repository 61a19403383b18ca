"""Which protocols each router platform can use, from which version on, and why it cannot use the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext_lazy as _

from vpn.choices import Platform
from vpn.platforms.boxes import BOXES
from vpn.platforms.rules import NEEDS_TLS_CRYPT_V2, OPENVPN, PLAIN, WIREGUARD, Rule
from vpn.platforms.versions import release_of


@dataclass(frozen=True)
class Capability:
    """Whether a platform carries a protocol to the hub, and how.

    `reason` says why it cannot. `note` says what an admin should know, such as limits. With `compat` it needs the
    compatibility listener (TCP, without tls-crypt-v2). `transports` are in the order in which to try them. With
    `static_routes` its routes are in its own configuration, as it accepts none that the hub pushes.
    """

    protocol: str
    offered: bool
    reason: str = ""
    note: str = ""
    since: str = ""
    compat: bool = False
    transports: tuple[str, ...] = ()
    static_routes: bool = False


# From 7.17 on, an import of an .ovpn file is said to keep a tls-crypt key, which all clients of a listener share; the
# hub has none. `/interface ovpn-client` has no property for a key of either kind in 7.17, 7.19.6, 7.20.6 or 7.21.4.
# What such an import does to an existing interface is not known, so it does not suit a script that may run repeatedly.
_ROUTEROS_OPENVPN: Final = _(
    "RouterOS has no setting for the tls-crypt-v2 key that the hub's main OpenVPN listeners ask for, so it uses the "
    "compatibility listener, over TCP. WireGuard is quicker."
)
_NO_TLS_CRYPT_V2: Final = _(
    "Its OpenVPN pages take no tls-crypt-v2 key, so it uses the compatibility listener, over TCP. WireGuard is quicker."
)

_RULES: Final[dict[str, dict[str, Rule]]] = {
    Platform.ROUTEROS7: {
        WIREGUARD: Rule(since=(7, 1), before=_("WireGuard came with RouterOS 7.1. Upgrade the router first.")),
        OPENVPN: Rule(
            since=(7, 12),
            before=_(
                "OpenVPN needs RouterOS 7.12 or newer here: before, ciphers and pushed routes were handled "
                "differently. Upgrade the router, or use WireGuard."
            ),
            note=_ROUTEROS_OPENVPN,
            compat=True,
            transports=("tcp",),
        ),
    },
    Platform.ROUTEROS6: {
        WIREGUARD: Rule(
            never=_("RouterOS 6 has no WireGuard. Upgrade the router to RouterOS 7, then change its platform here.")
        ),
        OPENVPN: Rule(
            since=(6, 49),
            before=_(
                "OpenVPN needs RouterOS 6.49 here: older versions cannot all check the hub's certificate. "
                "Upgrade the router first."
            ),
            note=_(
                "RouterOS 6 speaks OpenVPN over TCP only, without tls-crypt, and so uses the compatibility listener. "
                "Its tunnel carries IPv4 only, and its routes are written into the profile."
            ),
            compat=True,
            transports=("tcp",),
            static_routes=True,
        ),
    },
    Platform.OPENWRT: {
        WIREGUARD: Rule(since=(19, 7), before=_("WireGuard needs OpenWrt 19.07 or newer.")),
        OPENVPN: Rule(
            since=(21, 2),
            before=_("OpenVPN needs OpenWrt 21.02 or newer: older ones have no tls-crypt-v2."),
            transports=PLAIN,
        ),
    },
    Platform.VYOS: {
        WIREGUARD: Rule(since=(1, 3), before=_("WireGuard needs VyOS 1.3 or newer here.")),
        OPENVPN: Rule(
            since=(1, 4),
            before=_("OpenVPN needs VyOS 1.4 or newer, which keeps certificates in its configuration."),
            transports=PLAIN,
        ),
    },
    Platform.OPNSENSE: {
        WIREGUARD: Rule(
            since=(24, 1), before=_("WireGuard is part of OPNsense from 24.1 on. Upgrade the router first.")
        ),
        OPENVPN: Rule(
            since=(23, 7),
            before=_("OpenVPN needs OPNsense 23.7 or newer, where instances came."),
            note=_NO_TLS_CRYPT_V2,
            compat=True,
            transports=("tcp",),
        ),
    },
    Platform.PFSENSE: {
        WIREGUARD: Rule(
            since=(2, 6),
            before=_("The WireGuard package needs pfSense 2.6 or newer."),
            note=_("Install the package WireGuard first (System, Package Manager)."),
        ),
        OPENVPN: Rule(
            since=(2, 5),
            before=_("OpenVPN needs pfSense 2.5 or newer, for AES-256-GCM without a fallback."),
            note=_NO_TLS_CRYPT_V2,
            compat=True,
            transports=("tcp",),
        ),
    },
    Platform.LINUX: {
        WIREGUARD: Rule(),
        OPENVPN: Rule(note=_("OpenVPN 2.5 or newer."), transports=PLAIN),
    },
    Platform.OTHER: {
        WIREGUARD: Rule(),
        OPENVPN: Rule(note=NEEDS_TLS_CRYPT_V2, transports=PLAIN),
    },
    **BOXES,
}


def capability(platform: str, protocol: str, version: str = "") -> Capability:
    """What the platform can do with this protocol; an unknown version counts as new enough.

    Raises ValueError for an unknown platform, KeyError for an unknown protocol.
    """
    rule = _RULES[Platform(platform)][protocol]
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
