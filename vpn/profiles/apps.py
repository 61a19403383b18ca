"""The apps that import profiles, and where each operating system gets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vpn.choices import Protocol

SYSTEMS: Final = (
    ("windows", "Windows"),
    ("macos", "macOS"),
    ("linux", "Linux"),
    ("ios", "iPhone, iPad"),
    ("android", "Android"),
)
PHONES: Final = frozenset(["ios", "android"])
_APPLE: Final = "https://apps.apple.com/app"
_GOOGLE: Final = "https://play.google.com/store/apps/details?id="
_WIREGUARD: Final = "https://www.wireguard.com/install/"
_OPENVPN: Final = "https://openvpn.net/client/"
# For each operating system: the app, the words of the link to it, and the link. Linux has packages instead.
_APPS: Final = {
    Protocol.WIREGUARD: {
        "windows": ("WireGuard", "wireguard.com", _WIREGUARD),
        "macos": ("WireGuard", "Mac App Store", f"{_APPLE}/wireguard/id1451685025"),
        "linux": ("wireguard-tools", "", ""),
        "ios": ("WireGuard", "App Store", f"{_APPLE}/wireguard/id1441195209"),
        "android": ("WireGuard", "Google Play", f"{_GOOGLE}com.wireguard.android"),
    },
    Protocol.OPENVPN: {
        "windows": ("OpenVPN Connect", "openvpn.net", _OPENVPN),
        "macos": ("OpenVPN Connect", "openvpn.net", _OPENVPN),
        "linux": ("openvpn", "", ""),
        "ios": ("OpenVPN Connect", "App Store", f"{_APPLE}/openvpn-connect/id590379981"),
        "android": ("OpenVPN Connect", "Google Play", f"{_GOOGLE}net.openvpn.openvpn"),
    },
}


@dataclass(frozen=True)
class App:
    """The app of one operating system.

    `name` is the app or package, `store` and `address` are the link to it, "" for a package.
    """

    system: str
    label: str
    name: str
    store: str
    address: str


def apps_for(protocol: str, first: str) -> list[App]:
    """The app of each operating system for a protocol; the reader's own comes `first`."""
    known = _APPS[Protocol(protocol)]
    return [App(system, label, *known[system]) for system, label in systems_from(first)]


def systems_from(first: str) -> list[tuple[str, str]]:
    """The operating systems with their names; the reader's own comes `first`."""
    return sorted(SYSTEMS, key=lambda system: system[0] != first)
