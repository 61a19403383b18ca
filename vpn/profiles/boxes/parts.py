"""What the files and steps of all boxes have in common."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from vpn.choices import Protocol
from vpn.profiles import openvpn as ovpn
from vpn.profiles import wireguard as wg
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import Network, ProfileFile, SiteRouter, Step, networks, tag_of
from vpn.profiles.wireguard import WireGuardProfile


def conf(profile: WireGuardProfile, router: SiteRouter) -> ProfileFile:
    """The plain WireGuard profile without its comment: GL.iNet refuses lines that begin with "#"."""
    content = wg.render(replace(profile, name="", metric=None))
    return ProfileFile(f"{tag_of(router)}.conf", content, wg.CONTENT_TYPE, _title(Protocol.WIREGUARD))


def plain_ovpn(profile: OpenVPNProfile, router: SiteRouter) -> ProfileFile:
    """The plain OpenVPN profile."""
    return ProfileFile(f"{tag_of(router)}.ovpn", ovpn.render(profile), ovpn.CONTENT_TYPE, _title(Protocol.OPENVPN))


def _title(protocol: Protocol) -> str:
    return _("Profile for %(protocol)s") % {"protocol": protocol.label}


def former_step() -> Step:
    """The step for a site that had the other protocol before."""
    return Step(
        _(
            "Only where this site was connected over the other protocol before: delete that VPN client first. Two "
            "tunnels with the same addresses cut each other off."
        )
    )


def listed(values: tuple[Network, ...]) -> str:
    """Networks for one field."""
    return ", ".join(str(value) for value in networks(values))
