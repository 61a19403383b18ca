"""Selects the files of a router by its platform."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from vpn.choices import Platform
from vpn.profiles import linux, openwrt, opnsense, pfsense, routeros_openvpn, routeros_wireguard, vyos
from vpn.profiles.boxes import asus, fritzbox, glinet, synology, teltonika, unifi
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import Network, RouterProfile, SiteRouter
from vpn.profiles.wireguard import WireGuardProfile

_WireGuard = Callable[[WireGuardProfile, SiteRouter], RouterProfile]
_OpenVPN = Callable[[OpenVPNProfile, SiteRouter, tuple[Network, ...]], RouterProfile]


def _with_pushed_routes(make: Callable[[OpenVPNProfile, SiteRouter], RouterProfile]) -> _OpenVPN:
    """For a platform that takes its routes from the hub at each connection."""
    return lambda profile, router, _remote_networks: make(profile, router)


_OVER_WIREGUARD: Final[dict[str, _WireGuard]] = {
    Platform.ROUTEROS7: routeros_wireguard.wireguard,
    Platform.OPENWRT: openwrt.wireguard,
    Platform.VYOS: vyos.wireguard,
    Platform.OPNSENSE: opnsense.wireguard,
    Platform.PFSENSE: pfsense.wireguard,
    Platform.LINUX: linux.wireguard,
    Platform.UNIFI: unifi.wireguard,
    Platform.FRITZBOX: fritzbox.wireguard,
    Platform.GLINET: glinet.wireguard,
    Platform.TELTONIKA: teltonika.wireguard,
    Platform.ASUS: asus.wireguard,
}
_OVER_OPENVPN: Final[dict[str, _OpenVPN]] = {
    Platform.ROUTEROS7: _with_pushed_routes(partial(routeros_openvpn.openvpn, major=7)),
    Platform.ROUTEROS6: partial(routeros_openvpn.openvpn, major=6),
    Platform.OPENWRT: _with_pushed_routes(openwrt.openvpn),
    Platform.VYOS: _with_pushed_routes(vyos.openvpn),
    Platform.OPNSENSE: _with_pushed_routes(opnsense.openvpn),
    Platform.PFSENSE: _with_pushed_routes(pfsense.openvpn),
    Platform.LINUX: _with_pushed_routes(linux.openvpn),
    Platform.GLINET: _with_pushed_routes(glinet.openvpn),
    Platform.TELTONIKA: _with_pushed_routes(teltonika.openvpn),
    Platform.ASUS: _with_pushed_routes(asus.openvpn),
    Platform.SYNOLOGY: synology.openvpn,
}


def router_files(
    platform: str,
    profile: WireGuardProfile | OpenVPNProfile,
    router: SiteRouter,
    remote_networks: tuple[Network, ...] = (),
) -> RouterProfile | None:
    """Files and steps for a platform; None for `other`, which uses the plain profile.

    `remote_networks` are the routes into the tunnel, for a platform that does not take them from the hub, and for a LAN
    whose own router is another device. Raises ValueError for a value that the platform cannot hold, and for a protocol
    that it does not support.
    """
    if isinstance(profile, WireGuardProfile):
        return _wireguard(Platform(platform), profile, router)
    return _openvpn(Platform(platform), profile, router, remote_networks)


def _wireguard(platform: Platform, profile: WireGuardProfile, router: SiteRouter) -> RouterProfile | None:
    if platform == Platform.OTHER:
        return None
    if platform not in _OVER_WIREGUARD:
        raise ValueError(f"{platform.label} has no WireGuard.")
    return _OVER_WIREGUARD[platform](profile, router)


def _openvpn(
    platform: Platform, profile: OpenVPNProfile, router: SiteRouter, remote_networks: tuple[Network, ...]
) -> RouterProfile | None:
    if platform == Platform.OTHER:
        return None
    if platform not in _OVER_OPENVPN:
        raise ValueError(f"There is no OpenVPN for {platform.label}.")
    return _OVER_OPENVPN[platform](profile, router, remote_networks)
