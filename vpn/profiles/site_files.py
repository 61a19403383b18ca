"""From a site peer's row to the files and steps for its router."""

from __future__ import annotations

from vpn.models import Peer
from vpn.profiles.router import RouterProfile, SiteRouter
from vpn.validators import parse_network


def router_profile(peer: Peer) -> RouterProfile | None:
    """Files and steps for the site's platform, with the keys; None for clients and for platforms without any."""
    return None


def router_of(peer: Peer) -> SiteRouter | None:
    """The site's router as its profile needs it."""
    if peer.site is None:
        return None
    return SiteRouter(
        name=peer.site.name,
        subnets=tuple(parse_network(text) for text in peer.subnets),
        version=peer.site.platform_version,
        tag=f"vpn-{peer.pk.hex[:8]}",
    )
