"""Selects the files of a router by its platform."""

from __future__ import annotations

from vpn.choices import Platform
from vpn.profiles import linux, openwrt, opnsense, pfsense, routeros_openvpn, routeros_wireguard, vyos
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import Network, RouterProfile, SiteRouter
from vpn.profiles.wireguard import WireGuardProfile


def router_files(
    platform: str,
    profile: WireGuardProfile | OpenVPNProfile,
    router: SiteRouter,
    remote_networks: tuple[Network, ...] = (),
) -> RouterProfile | None:
    """Files and steps for a platform; None for `other`, which uses the plain profile.

    `remote_networks` are the routes into the tunnel, which RouterOS 6 needs in its OpenVPN script. Raises ValueError
    for a value that the platform cannot hold, and for a protocol that it does not support.
    """
    if isinstance(profile, WireGuardProfile):
        return _wireguard(Platform(platform), profile, router)
    return _openvpn(Platform(platform), profile, router, remote_networks)


def _wireguard(platform: Platform, profile: WireGuardProfile, router: SiteRouter) -> RouterProfile | None:
    match platform:
        case Platform.ROUTEROS7:
            return routeros_wireguard.wireguard(profile, router)
        case Platform.ROUTEROS6:
            raise ValueError("RouterOS 6 has no WireGuard.")
        case Platform.OPENWRT:
            return openwrt.wireguard(profile, router)
        case Platform.VYOS:
            return vyos.wireguard(profile, router)
        case Platform.OPNSENSE:
            return opnsense.wireguard(profile, router)
        case Platform.PFSENSE:
            return pfsense.wireguard(profile, router)
        case Platform.LINUX:
            return linux.wireguard(profile, router)
    return None


def _openvpn(
    platform: Platform, profile: OpenVPNProfile, router: SiteRouter, remote_networks: tuple[Network, ...]
) -> RouterProfile | None:
    match platform:
        case Platform.ROUTEROS7:
            return routeros_openvpn.openvpn(profile, router, major=7)
        case Platform.ROUTEROS6:
            return routeros_openvpn.openvpn(profile, router, remote_networks, major=6)
        case Platform.OPENWRT:
            return openwrt.openvpn(profile, router)
        case Platform.VYOS:
            return vyos.openvpn(profile, router)
        case Platform.OPNSENSE:
            return opnsense.openvpn(profile, router)
        case Platform.PFSENSE:
            return pfsense.openvpn(profile, router)
        case Platform.LINUX:
            return linux.openvpn(profile, router)
    return None
