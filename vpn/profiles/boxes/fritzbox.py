"""FRITZ!Box: a WireGuard connection that couples networks, imported from a file.

Such a connection has the FRITZ!Box's own address in the home network. FRITZ!OS takes a file with another address only
if all traffic goes into the tunnel.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network

from django.utils.translation import gettext as _

from vpn.profiles.boxes.parts import conf
from vpn.profiles.router import RouterProfile, SiteRouter, Step, everything_step, tag_of
from vpn.profiles.wireguard import WireGuardProfile


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The file and the steps. Raises ValueError for a site without an IPv4 subnet, or a value that does not fit."""
    tag = tag_of(router)
    own = _own_address(router)
    allowed = tuple(network for network in profile.allowed_ips if isinstance(network, IPv4Network))
    file = conf(replace(profile, addresses=(own,), allowed_ips=allowed), router)
    return RouterProfile(
        (file,),
        (
            Step(
                _(
                    "The line Address in the file has to be the FRITZ!Box's own address in its home network. Correct "
                    "it in the file if the box has another one."
                ),
                (("Address", str(own)),),
            ),
            Step(
                _(
                    "Internet, Permit Access, VPN (WireGuard): Add Connection, “Connect networks or establish special "
                    "connections”. Answer Yes to the question whether the connection has already been set up at the "
                    "remote site."
                )
            ),
            Step(
                _(
                    "Enter the name and select %(file)s. Leave “Send all IPv4 network traffic via the VPN connection” "
                    "off, finish, and confirm it at the FRITZ!Box."
                )
                % {"file": file.filename},
                (("Name", tag),),
            ),
            *everything_step(allowed),
            Step(
                _("To remove it later, or before a newer file is imported: delete the connection on the same page."),
                (("Name", tag),),
            ),
        ),
    )


def _own_address(router: SiteRouter) -> IPv4Interface:
    """The first address of the site's first IPv4 subnet, as most FRITZ!Boxes have it."""
    for subnet in router.subnets:
        if isinstance(subnet, IPv4Network) and 8 <= subnet.prefixlen <= 30:
            return IPv4Interface((subnet.network_address + 1, subnet.prefixlen))
    raise ValueError("A FRITZ!Box needs an IPv4 subnet of its site.")
