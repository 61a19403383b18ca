"""From a site peer's row to the files and steps for its router."""

from __future__ import annotations

import logging

from vpn.models import Peer, Site
from vpn.profiles.exits import Exit, with_exit
from vpn.profiles.names import tag_of_peer
from vpn.profiles.peer import openvpn_profile_of, profile_of
from vpn.profiles.router import RouterProfile, SiteRouter
from vpn.profiles.routers import router_files
from vpn.profiles.state import router_access
from vpn.profiles.translation import with_translation
from vpn.profiles.tunnel_routes import SiteSubnets, routes_of, site_subnets
from vpn.validators import parse_network

logger = logging.getLogger(__name__)


def router_profile(peer: Peer, family: int | None = None, sites: SiteSubnets | None = None) -> RouterProfile | None:
    """Files and steps for the site's platform, with the keys.

    None for clients, for the platform `other`, and if the platform cannot hold a value of the row. `family` is as in
    `render_profile`; without `sites` they are read from the database. Raises NoAddress, or NoFamily.
    """
    if peer.site is None:
        return None
    sites = site_subnets(peer.instance) if sites is None else sites
    over_openvpn = peer.is_openvpn
    profile = openvpn_profile_of(peer, family=family) if over_openvpn else profile_of(peer, sites=sites, family=family)
    remote_networks = routes_of(peer, sites)
    router, way = router_of(peer, peer.site, sites), _exit_of(peer)
    try:
        files = router_files(peer.site.platform, profile, router, remote_networks)
        if files is None:
            return None
        files = with_translation(peer.site.platform, files, router)
        return files if way is None else with_exit(peer.site.platform, files, router, way)
    except ValueError as error:
        # The plain profile is still offered. The reasons quote no value.
        logger.warning("No files for the router of the peer %s: %s", peer.pk, error)
        return None


def _exit_of(peer: Peer) -> Exit | None:
    """The exit that the site is or was; None if it never was one."""
    if peer.is_exit is None:
        return None
    instance = peer.instance
    return Exit(instance.network_v4, instance.network_v6, ended=not peer.is_exit)


def router_of(peer: Peer, site: Site, sites: SiteSubnets) -> SiteRouter:
    """The router of a site peer, for its files: its LANs, and their aliases."""
    aliases = peer.aliases
    lans = {str(alias.subnet): str(alias.lan) for alias in aliases}
    return SiteRouter(
        name=site.name,
        subnets=tuple(parse_network(lans.get(text, text)) for text in peer.subnets),
        version=site.platform_version,
        tag=tag_of_peer(peer),
        aliases=aliases,
        access=router_access(peer.instance, peer, site, sites),
    )
