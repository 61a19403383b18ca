"""The files that a peer can have, by format: the plain profile, and those of its router's platform."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from django.utils.translation import gettext as _

from vpn.choices import KeyCustody
from vpn.models import Peer
from vpn.profiles import networkd, values, wireguard
from vpn.profiles.apple import configuration_profiles
from vpn.profiles.names import wg_quick_filename
from vpn.profiles.peer import openvpn_profile_of, profile_of
from vpn.profiles.plain_file import Rendered, render_profile
from vpn.profiles.router import ProfileFile, metric_of
from vpn.profiles.site_files import router_of, router_profile
from vpn.profiles.tunnel_routes import SiteSubnets, site_subnets

# The format in `GET /client?format=` of a device's profile for wg-quick(8) on Linux.
WG_QUICK: Final = "wg-quick"
# The format of the profile's values for programs.
VALUES: Final = "json"


def files_of(peer: Peer, family: int | None = None) -> dict[str, ProfileFile]:
    """The peer's files with their keys, first the one that its device imports. Raises NoAddress, or NoFamily."""
    return files_beside(peer, render_profile(peer, family=family), family)


def files_beside(peer: Peer, plain: Rendered, family: int | None = None) -> dict[str, ProfileFile]:
    """`files_of` for a peer whose plain profile is rendered already."""
    sites = site_subnets(peer.instance)
    files = _of_router(peer, family, sites)
    own = ProfileFile(
        plain.filename,
        plain.content,
        plain.content_type,
        _("Profile for %(protocol)s") % {"protocol": peer.get_protocol_display()},
    )
    # A platform's file of the same format differs only in names, which the platform's other files refer to.
    files.setdefault(own.format, own)
    if (linux := for_wg_quick(peer, family, sites)) is not None:
        files[linux.format] = linux
    # Without its key in it, nobody can complete such a file by hand.
    if peer.key_custody == KeyCustody.PORTAL:
        files |= {file.format: file for file in configuration_profiles(peer, plain.filename, plain.content).values()}
    return files | {VALUES: _values(peer, plain, family, sites)}


def _of_router(peer: Peer, family: int | None, sites: SiteSubnets) -> dict[str, ProfileFile]:
    """The files of a site's router, first the one that it imports."""
    profile = router_profile(peer, family, sites)
    if profile is None or peer.site is None:
        return {}
    files = {file.format: file for file in profile.files}
    return files | {file.format: file for file in networkd.scripts(files, router_of(peer, peer.site, sites))}


def _values(peer: Peer, plain: Rendered, family: int | None, sites: SiteSubnets) -> ProfileFile:
    """The values of the plain profile for programs."""
    over_openvpn = peer.is_openvpn
    profile = openvpn_profile_of(peer, family=family) if over_openvpn else profile_of(peer, sites=sites, family=family)
    name = f"{plain.filename.rpartition('.')[0]}.{VALUES}"
    return ProfileFile(name, values.render(profile), values.CONTENT_TYPE, "")


def for_wg_quick(peer: Peer, family: int | None = None, sites: SiteSubnets | None = None) -> ProfileFile | None:
    """A device's profile for wg-quick(8) on Linux; the machine may be inside one of the routed networks.

    Without `sites` it reads them from the database.
    None for routers, which have files of their own, for other protocols, and for full tunnels.
    """
    if peer.is_site or peer.is_openvpn or peer.route_all:
        return None
    profile = replace(profile_of(peer, sites=sites, family=family), metric=metric_of(peer.pk.hex))
    content = wireguard.render(profile)
    return ProfileFile(wg_quick_filename(peer), content, wireguard.CONTENT_TYPE, _("For wg-quick"), kind=WG_QUICK)
