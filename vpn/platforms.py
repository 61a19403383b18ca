"""What each router platform can do, since which version, and why it cannot do the rest. Pure: needs no database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vpn.choices import Platform

WIREGUARD: Final = "wireguard"
OPENVPN: Final = "openvpn"

Version = tuple[int, ...]


@dataclass(frozen=True)
class Capability:
    """Whether a platform carries a protocol to the hub, and how.

    `reason` says why not; `note` says what differs from the best there is; `compat` asks for the compatibility
    listener (TCP, without tls-crypt-v2); `transports` are in the order in which they should be tried. With
    `static_routes` its routes are written into its configuration, and it takes none from the hub.
    """

    protocol: str
    offered: bool
    reason: str = ""
    note: str = ""
    since: str = ""
    compat: bool = False
    transports: tuple[str, ...] = ()
    static_routes: bool = False


@dataclass(frozen=True)
class _Rule:
    """A protocol on a platform: offered from the version `since` on (empty: always)."""

    since: Version = ()
    before: str = ""  # the reason for older versions
    never: str = ""  # the reason for all versions
    note: str = ""
    compat: bool = False
    transports: tuple[str, ...] = ("udp",)
    static_routes: bool = False


_PLAIN: Final = ("udp", "tcp")
# From 7.17 on an imported .ovpn is said to keep a tls-crypt key: the one that all clients of a listener share, which
# the hub has not. `/interface ovpn-client` has no property for a key of either kind in 7.17, 7.19.6, 7.20.6 or 7.21.4,
# and what an import does to an interface that is there is not known to us: no way for a script that may be imported
# again and again.
_ROUTEROS_OPENVPN: Final = (
    "RouterOS has no setting for the tls-crypt-v2 key that the hub's main OpenVPN listeners ask for, so it uses the "
    "compatibility listener, over TCP."
)
_NO_TLS_CRYPT_V2: Final = (
    "Its OpenVPN pages take no tls-crypt-v2 key, so it uses the compatibility listener, over TCP. WireGuard is quicker."
)

_RULES: Final[dict[str, dict[str, _Rule]]] = {
    Platform.ROUTEROS7: {
        WIREGUARD: _Rule(since=(7, 1), before="WireGuard came with RouterOS 7.1. Upgrade the router first."),
        OPENVPN: _Rule(
            since=(7, 12),
            before="OpenVPN needs RouterOS 7.12 or newer here: before, ciphers and pushed routes were handled "
            "differently. Upgrade the router, or use WireGuard.",
            note=_ROUTEROS_OPENVPN + " WireGuard is quicker.",
            compat=True,
            transports=("tcp",),
        ),
    },
    Platform.ROUTEROS6: {
        WIREGUARD: _Rule(
            never="RouterOS 6 has no WireGuard. Upgrade the router to RouterOS 7, then change its platform here."
        ),
        OPENVPN: _Rule(
            since=(6, 49),
            before="OpenVPN needs RouterOS 6.49 here: older versions cannot all check the hub's certificate. "
            "Upgrade the router first.",
            note="RouterOS 6 speaks OpenVPN over TCP only, without tls-crypt, and so uses the compatibility listener. "
            "Its tunnel carries IPv4 only, and its routes are written into the profile.",
            compat=True,
            transports=("tcp",),
            static_routes=True,
        ),
    },
    Platform.OPENWRT: {
        WIREGUARD: _Rule(since=(19, 7), before="WireGuard needs OpenWrt 19.07 or newer."),
        OPENVPN: _Rule(
            since=(21, 2),
            before="OpenVPN needs OpenWrt 21.02 or newer: older ones have no tls-crypt-v2.",
            transports=_PLAIN,
        ),
    },
    Platform.VYOS: {
        WIREGUARD: _Rule(since=(1, 3), before="WireGuard needs VyOS 1.3 or newer here."),
        OPENVPN: _Rule(
            since=(1, 4),
            before="OpenVPN needs VyOS 1.4 or newer, which keeps certificates in its configuration.",
            transports=_PLAIN,
        ),
    },
    Platform.OPNSENSE: {
        WIREGUARD: _Rule(since=(24, 1), before="WireGuard is part of OPNsense from 24.1 on. Upgrade the router first."),
        OPENVPN: _Rule(
            since=(23, 7),
            before="OpenVPN needs OPNsense 23.7 or newer, where instances came.",
            note=_NO_TLS_CRYPT_V2,
            compat=True,
            transports=("tcp",),
        ),
    },
    Platform.PFSENSE: {
        WIREGUARD: _Rule(
            since=(2, 6),
            before="The WireGuard package needs pfSense 2.6 or newer.",
            note="Install the package WireGuard first (System, Package Manager).",
        ),
        OPENVPN: _Rule(
            since=(2, 5),
            before="OpenVPN needs pfSense 2.5 or newer, for AES-256-GCM without a fallback.",
            note=_NO_TLS_CRYPT_V2,
            compat=True,
            transports=("tcp",),
        ),
    },
    Platform.LINUX: {
        WIREGUARD: _Rule(),
        OPENVPN: _Rule(note="OpenVPN 2.5 or newer.", transports=_PLAIN),
    },
    Platform.OTHER: {
        WIREGUARD: _Rule(),
        OPENVPN: _Rule(note="A client with tls-crypt-v2 is needed (OpenVPN 2.5 or newer).", transports=_PLAIN),
    },
}

_MAJOR: Final = {Platform.ROUTEROS7: 7, Platform.ROUTEROS6: 6}
# Later than every release: a build of a development branch, which shows no number.
NEWEST: Final[Version] = (9999,)
VERSION_LENGTH: Final = 200
_NUMBER: Final = re.compile(r"(?<![\w.])v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})(?![0-9])", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class _Naming:
    """How a platform shows its version: its own `name`, an `example`, the majors that it has (lowest and highest),
    and words that stand for a version."""

    name: str
    example: str
    majors: tuple[tuple[int, int], ...]
    words: tuple[tuple[str, Version], ...] = ()


_ROUTEROS: Final = _Naming("RouterOS", "7.16.1 (stable)", ((2, 20),))
_NAMINGS: Final[dict[str, _Naming]] = {
    Platform.ROUTEROS7: _ROUTEROS,
    Platform.ROUTEROS6: _ROUTEROS,
    Platform.OPENWRT: _Naming(
        "OpenWrt", "OpenWrt 23.05.5 r24106-10cc5e456a", ((14, 99),), words=(("snapshot", NEWEST),)
    ),
    # Rolling releases are numbered 1.5-rolling-DATE or, later, by their date.
    Platform.VYOS: _Naming(
        "VyOS",
        "VyOS 1.4.0",
        ((1, 1), (2020, 2999)),
        words=(("equuleus", (1, 3)), ("sagitta", (1, 4)), ("circinus", (1, 5)), ("rolling", NEWEST)),
    ),
    Platform.OPNSENSE: _Naming("OPNsense", "OPNsense 24.7.9_1-amd64", ((15, 99),)),
    # pfSense Plus is numbered by year and month.
    Platform.PFSENSE: _Naming("pfSense", "2.7.2-RELEASE", ((2, 2), (20, 99))),
}


def version_number(platform: str, text: str) -> str:
    """The version in what a router shows of itself, as it is written there: 1.5 in "VyOS 1.5-rolling-202411190007".
    "" where there is none that this platform has."""
    naming = _NAMINGS.get(Platform(platform))
    _, _, behind = text.casefold().partition(naming.name.casefold()) if naming else ("", "", "")
    for part in (behind, text):
        for found in _NUMBER.finditer(part):
            major = _numbers(found[1])[0]
            if naming is None or any(lowest <= major <= highest for lowest, highest in naming.majors):
                return found[1]
    return ""


def version_of(platform: str, text: str) -> Version:
    """`version_number` for comparing: "2.7.2-RELEASE" is (2, 7, 2). Text that holds no version of this platform, and
    "", is ()."""
    number = version_number(platform, text)
    if number:
        return _numbers(number)
    naming = _NAMINGS.get(Platform(platform))
    return next((version for word, version in naming.words if word in text.casefold()), ()) if naming else ()


def _numbers(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def version_fault(platform: str, text: str) -> str:
    """Why a site of this platform cannot run this version, or "" where it can. A site need not say its version, and
    nothing depends on that of a Linux router or another device."""
    if not text.strip():
        return ""
    other = _other_platform(platform, text)
    if other:
        return f"This is a version of {other}. Choose {other} as what the router runs."
    naming = _NAMINGS.get(Platform(platform))
    if naming is None:
        return ""
    version = version_of(platform, text)
    if not version:
        return (
            f"No version of {naming.name} was understood in this. Enter it as the router shows it, such as "
            f"{naming.example}, or leave it empty."
        )
    major = _MAJOR.get(Platform(platform))
    if major is not None and version[0] != major:
        sibling = next((p for p, number in _MAJOR.items() if number == version[0]), None)
        return (
            f"This version belongs to {sibling.label}." if sibling else f"RouterOS {major} versions begin with {major}."
        )
    return ""


def _other_platform(platform: str, text: str) -> str:
    """The name of the other product that a version names, or "" where it names none or this one."""
    own, shown = _NAMINGS.get(Platform(platform)), text.casefold()
    if platform == Platform.OTHER or (own and own.name.casefold() in shown):
        return ""
    return next((naming.name for naming in _NAMINGS.values() if naming.name.casefold() in shown), "")


def shown(platform: str, text: str) -> str:
    """The platform and its version as a page says it, with the product's name once."""
    label, naming = str(Platform(platform).label), _NAMINGS.get(Platform(platform))
    if not text:
        return label
    if naming is None:
        return f"{label}, {text}"
    if naming.name.casefold() in text.casefold():
        return text
    major = version_of(platform, text)[:1]
    return f"{label.removesuffix(f' {major[0]}') if major else label} {text}"


# From which version on pfSense Plus is built as which pfSense.
_PLUS: Final[tuple[tuple[Version, Version], ...]] = (((23, 1), (2, 7)), ((22, 1), (2, 6)))


def release_of(platform: str, text: str) -> Version:
    """`version_of` as rules know it: pfSense Plus counts as the pfSense that it is built as."""
    version = version_of(platform, text)
    if platform == Platform.PFSENSE and version and version[0] >= 20:
        return next((release for since, release in _PLUS if version >= since), (2, 5))
    return version


def capability(platform: str, protocol: str, version: str = "") -> Capability:
    """What the platform can do with this protocol; an unknown version counts as new enough.

    Raises ValueError for an unknown platform, KeyError for an unknown protocol.
    """
    rule = _RULES[Platform(platform)][protocol]
    since = ".".join(str(part) for part in rule.since)
    if rule.never:
        return Capability(protocol, offered=False, reason=rule.never)
    known = release_of(platform, version)
    if known and known < rule.since:
        return Capability(protocol, offered=False, reason=rule.before, since=since)
    return Capability(
        protocol,
        offered=True,
        note=rule.note,
        since=since,
        compat=rule.compat,
        transports=rule.transports,
        static_routes=rule.static_routes,
    )


def capabilities(platform: str, version: str = "") -> dict[str, Capability]:
    """`capability` for every protocol."""
    return {protocol: capability(platform, protocol, version) for protocol in (WIREGUARD, OPENVPN)}


def needs_compat(platform: str, version: str = "") -> bool:
    """Whether this router, where it uses OpenVPN, needs the compatibility listener."""
    return capability(platform, OPENVPN, version).compat


def has_static_routes(platform: str, version: str = "") -> bool:
    """Whether this router, where it uses OpenVPN, has its routes in its own configuration and takes none from the
    hub."""
    return capability(platform, OPENVPN, version).static_routes


def why_not(platform: str, version: str, protocol: str) -> str:
    """Why this router cannot use the protocol, or "" where it can."""
    return capability(platform, protocol, version).reason
