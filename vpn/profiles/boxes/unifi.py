"""UniFi gateways: a VPN client of UniFi Network, and the policy that routes into it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from vpn.profiles.boxes.parts import conf, listed
from vpn.profiles.router import RouterProfile, SiteRouter, Step, everything_step, tag_of, without_default
from vpn.profiles.wireguard import WireGuardProfile


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The file and the steps. Raises ValueError for a value that its place cannot hold."""
    file, tag = conf(profile, router), tag_of(router)
    return RouterProfile(
        (file,),
        (
            Step(
                _("Settings, VPN, VPN Client: Create New, WireGuard. Enter the name, upload %(file)s, and apply.")
                % {"file": file.filename},
                (("Name", tag),),
            ),
            Step(
                _(
                    "Settings, Policy Table: create a policy of the type Route. Before UniFi Network 9.4 it is a "
                    "policy-based route under Policy Engine or Routing. When the networks change, change them here."
                ),
                (
                    ("Interface", tag),
                    *((("Source", listed(router.subnets)),) if router.subnets else ()),
                    ("Destination", listed(without_default(profile.allowed_ips))),
                ),
            ),
            *everything_step(profile.allowed_ips),
            Step(_("To remove it later: delete the policy, then the VPN client."), (("Name", tag),)),
        ),
    )
