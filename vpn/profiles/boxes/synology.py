"""Synology devices with DSM: a VPN profile of OpenVPN. The LAN's own router has to know of it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from vpn.profiles.boxes.parts import plain_ovpn
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import Network, RouterProfile, SiteRouter, Step, tag_of, without_default


def openvpn(profile: OpenVPNProfile, router: SiteRouter, remote_networks: tuple[Network, ...] = ()) -> RouterProfile:
    """The file and the steps. Raises ValueError for a value that its place cannot hold."""
    file, tag = plain_ovpn(profile, router), tag_of(router)
    wanted = without_default(remote_networks)
    routes = (
        Step(
            _(
                "On the LAN's router, add routes to these networks by way of this device. Without them the others "
                "reach only the device itself."
            ),
            ((_("Networks"), "\n".join(str(network) for network in wanted)),),
        ),
    )
    return RouterProfile(
        (file,),
        (
            Step(
                _(
                    "Control Panel, Network, Network Interface: Create, Create VPN profile, “OpenVPN (via importing a "
                    ".ovpn file)”."
                )
            ),
            Step(
                _(
                    "Import %(file)s, and leave the CA certificate empty. The hub asks for no user, but DSM does: any "
                    "user name and password will do."
                )
                % {"file": file.filename},
                (("Profile name", tag), ("User name", tag), ("Password", tag)),
            ),
            Step(
                _(
                    "Next page: leave “Use default gateway on remote network” off. Tick “Allow other network devices "
                    "to connect through this Synology server's Internet connection” and “Reconnect when the VPN "
                    "connection is lost”."
                )
            ),
            Step(_("On the same page as at first: select the profile, and connect.")),
            *(routes if wanted else ()),
            Step(
                _("To remove it later: disconnect the profile and delete it, and the routes."), (("Profile name", tag),)
            ),
        ),
    )
