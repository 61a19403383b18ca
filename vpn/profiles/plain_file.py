"""A peer's plain profile as a file, which every platform's app imports."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vpn.choices import Platform, Protocol
from vpn.models import Peer
from vpn.profiles import openvpn, wireguard
from vpn.profiles.names import filename_of, tag_of_peer
from vpn.profiles.peer import openvpn_profile_of, profile_of
from vpn.profiles.router import metric_of
from vpn.profiles.state import ProfileDigests
from vpn.profiles.tunnel_routes import site_subnets


@dataclass(frozen=True)
class Rendered:
    """A profile as a file, and the digest of what it configures."""

    filename: str
    content: str = field(repr=False)
    content_type: str
    digest: str
    host: str


def render_profile(peer: Peer, digests: ProfileDigests | None = None, family: int | None = None) -> Rendered:
    """The file that the peer's device imports, with its keys.

    `digests` are those of the instance as it is; without them, the sites' subnets are read from the database.
    `family` (4 or 6) selects the hub's address that the device tries first; it does not change the digest. Raises
    NoAddress, or NoFamily if the hub has no address of that family.
    """
    digests = ProfileDigests(peer.instance, site_subnets(peer.instance)) if digests is None else digests
    if peer.is_openvpn:
        over_openvpn = openvpn_profile_of(peer, family=family)
        return Rendered(
            filename=filename_of(peer, Protocol.OPENVPN),
            content=openvpn.render(over_openvpn),
            content_type=openvpn.CONTENT_TYPE,
            digest=digests.current(peer),
            host=over_openvpn.remotes[0][0],
        )
    over_wireguard = profile_of(peer, sites=digests.sites, family=family)
    if peer.site is not None and peer.site.platform == Platform.LINUX:
        # On Linux wg-quick reads the file, which knows metrics.
        over_wireguard = replace(over_wireguard, metric=metric_of(tag_of_peer(peer)))
    return Rendered(
        filename=filename_of(peer, Protocol.WIREGUARD),
        content=wireguard.render(over_wireguard),
        content_type=wireguard.CONTENT_TYPE,
        digest=digests.current(peer),
        host=over_wireguard.endpoint_host,
    )
