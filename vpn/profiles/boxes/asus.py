"""ASUS routers: a profile of VPN Fusion."""

from __future__ import annotations

from django.utils.translation import gettext as _

from vpn.profiles.boxes.parts import conf, former_step, plain_ovpn
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import Network, ProfileFile, RouterProfile, SiteRouter, Step, everything_step, tag_of
from vpn.profiles.wireguard import WireGuardProfile


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The file and the steps. Raises ValueError for a value that its place cannot hold."""
    return _client(conf(profile, router), router, "WireGuard", profile.allowed_ips)


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The file and the steps. Raises ValueError for a value that its place cannot hold."""
    return _client(plain_ovpn(profile, router), router, "OpenVPN")


def _client(file: ProfileFile, router: SiteRouter, kind: str, allowed: tuple[Network, ...] = ()) -> RouterProfile:
    tag = tag_of(router)
    return RouterProfile(
        (file,),
        (
            former_step(),
            Step(
                _(
                    "VPN, VPN Fusion: add a profile and import %(file)s. Asuswrt-Merlin has the same under VPN, VPN "
                    "Client."
                )
                % {"file": file.filename},
                ((_("Name of the connection"), tag), (_("VPN type"), kind)),
            ),
            Step(
                _(
                    "Where the page has these: switch NAT off, and let the inbound firewall allow connections. Then "
                    "the others reach the LAN, by its own addresses."
                )
            ),
            Step(_("Apply it to the devices that shall use it, save, and switch the profile on.")),
            *everything_step(allowed),
            Step(_("To remove it later: switch the profile off and delete it."), ((_("Name of the connection"), tag),)),
        ),
    )
