"""Whether a peer's delivered profile is still current, told by digests of what profiles configure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from ipaddress import ip_address
from uuid import UUID

from vpn.addressing.pools import FIRST_PEER_HOST
from vpn.choices import PeerType, ProfileState
from vpn.models import Instance, Peer, Site
from vpn.profiles import openvpn, wireguard
from vpn.profiles.peer import openvpn_profile_of, profile_of
from vpn.profiles.tunnel_routes import SiteSubnets, routes_of, site_subnets


def current_digest(peer: Peer, sites: SiteSubnets | None = None) -> str:
    """The digest of what the peer's profile would configure now, for a site with its router's platform and version."""
    return _with_router(_configuration_digest(peer, sites), peer.site)


def _with_router(digest: str, site: Site | None) -> str:
    if site is None:
        return digest
    return hashlib.sha256(f"{digest} {site.platform} {site.platform_version}".encode()).hexdigest()


def _configuration_digest(peer: Peer, sites: SiteSubnets | None) -> str:
    if peer.is_openvpn:
        digest = openvpn.configuration_digest(openvpn_profile_of(peer, with_key=False))
        if peer.site is None or not peer.site.has_static_routes:
            return digest
        routes = routes_of(peer, site_subnets(peer.instance) if sites is None else sites)
        return hashlib.sha256(f"{digest} {' '.join(map(str, routes))}".encode()).hexdigest()
    return wireguard.configuration_digest(profile_of(peer, with_key=False, sites=sites))


def profile_state(peer: Peer) -> ProfileState:
    """Was a profile fetched, and does it equal the present one in what it configures?"""
    return profile_states(peer.instance, [peer])[peer.pk]


def profile_states(
    instance: Instance, peers: Iterable[Peer], sites: SiteSubnets | None = None
) -> dict[UUID, ProfileState]:
    """`profile_state` of many peers of one instance, with one query in all, or none if `sites` are given."""
    sites = site_subnets(instance) if sites is None else sites
    devices = DeviceDigests(instance, sites)
    states = {}
    for peer in peers:
        peer.instance = instance
        if not peer.delivered_digest:
            states[peer.pk] = ProfileState.UNDELIVERED
        elif devices.is_of(peer, peer.delivered_digest) and not has_moved(instance, peer.delivered_host):
            states[peer.pk] = ProfileState.CURRENT
        else:
            states[peer.pk] = ProfileState.OUTDATED
    return states


class DeviceDigests:
    """The digests of many profiles of one instance.

    WireGuard devices differ in key and addresses alone: what they have in common is worked out once.
    """

    def __init__(self, instance: Instance, sites: SiteSubnets) -> None:
        self._instance = instance
        self._sites = sites
        self._shared: dict[bool, tuple[str, str, str]] = {}

    def is_of(self, peer: Peer, delivered: str) -> bool:
        """Is this the digest of the peer's profile as it is now?

        Older digests do not cover the router: for which one such a file was written is not known.
        """
        if peer.is_openvpn or peer.is_site or peer.subnets:
            digest = _configuration_digest(peer, self._sites)
            return delivered in {digest, _with_router(digest, peer.site)}
        return delivered == self.of(peer.host, peer.public_key, route_all=peer.route_all)

    def of(self, host: int, public_key: str, *, route_all: bool) -> str:
        """The digest of a device's WireGuard profile."""
        if route_all not in self._shared:
            self._shared[route_all] = self._share(route_all=route_all)
        before, between, after = self._shared[route_all]
        text = f"{before}{self._addresses(host)}{between}{json.dumps(public_key)}{after}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _share(self, *, route_all: bool) -> tuple[str, str, str]:
        stand_in = Peer(type=PeerType.CLIENT, host=FIRST_PEER_HOST, route_all=route_all)
        stand_in.instance, stand_in.member, stand_in.site = self._instance, None, None
        text = wireguard.configuration(profile_of(stand_in, with_key=False, sites=self._sites))
        before, _, rest = text.partition(self._addresses(FIRST_PEER_HOST))
        between, key, after = rest.partition('"public_key":""')
        return before, between + key[:-2], after

    def _addresses(self, host: int) -> str:
        own = self._instance.own_networks(host)
        return f'"addresses":{json.dumps(sorted(own), separators=(",", ":"))}'


def has_moved(instance: Instance, delivered_host: str) -> bool:
    """Does a delivered profile point to an address that the hub has no longer? A name follows the hub."""
    server = instance.server
    if not delivered_host or server is None or not server.addresses:
        return False
    return _is_address(delivered_host) and delivered_host not in server.addresses


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
