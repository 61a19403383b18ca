"""GL.iNet routers with firmware 4: a VPN client with a file, and its options on the VPN dashboard."""

from __future__ import annotations

from django.utils.translation import gettext as _

from vpn.profiles.boxes.parts import conf, former_step, plain_ovpn
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import Network, ProfileFile, RouterProfile, SiteRouter, Step, everything_step
from vpn.profiles.wireguard import WireGuardProfile


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The file and the steps. Raises ValueError for a value that its place cannot hold."""
    return _client(conf(profile, router), "WireGuard Client", profile.allowed_ips)


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The file and the steps. Raises ValueError for a value that its place cannot hold."""
    return _client(plain_ovpn(profile, router), "OpenVPN Client")


def _client(file: ProfileFile, page: str, allowed: tuple[Network, ...] = ()) -> RouterProfile:
    return RouterProfile(
        (file,),
        (
            former_step(),
            Step(
                _("VPN, %(page)s: Add Manually. Give the group a name, upload %(file)s, and apply.")
                % {"page": page, "file": file.filename}
            ),
            Step(
                _(
                    "VPN, VPN Dashboard: set the proxy mode of the VPN client to the route mode, Auto Detect. Then "
                    "only the networks of the others go into the tunnel."
                )
            ),
            Step(
                _(
                    "On the same page, behind the gear: switch “Remote Access LAN” on and “IP Masquerading” off. Then "
                    "the others reach the LAN, by its own addresses."
                )
            ),
            Step(_("VPN, %(page)s: start the file with the three dots beside it.") % {"page": page}),
            *everything_step(allowed),
            Step(_("To remove it later: stop the file and delete it, with the three dots beside it.")),
        ),
    )
