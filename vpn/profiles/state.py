"""Whether a peer's delivered profile is still current, told by digests of what profiles configure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_address
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from vpn.addressing.pools import FIRST_PEER_HOST
from vpn.choices import OutdatedReason, PeerType, ProfileState
from vpn.models import Instance, Peer
from vpn.profiles import openvpn, wireguard
from vpn.profiles.management import access_of, has_accepts
from vpn.profiles.peer import openvpn_profile_of, profile_of
from vpn.profiles.tunnel_routes import Advertising, SiteSubnets, own_networks_of, site_subnets
from vpn.router_services import NO_ACCESS, RouterAccess
from vpn.validators import parse_network

# Where a stand-in without a key has it.
_NO_KEY: Final = '"public_key":""'


def current_digest(peer: Peer, sites: SiteSubnets | None = None) -> str:
    """The digest of what the peer's profile would configure now, for a site with its router's platform and version."""
    digest = _configuration_digest(peer, sites)
    if peer.site is None:
        return digest
    if peer.instance.management_sources and sites is None:
        sites = site_subnets(peer.instance)
    access = router_access(peer.instance, peer, peer.site, SiteSubnets() if sites is None else sites)
    return _with_access(_with_router(_with_exit(digest, peer), peer.site), access)


class Router(Protocol):
    """The columns of a site that a digest covers."""

    @property
    def platform(self) -> str: ...
    @property
    def platform_version(self) -> str: ...
    @property
    def alias(self) -> list[str] | None: ...


class Compared(Advertising, Protocol):
    """The columns of a WireGuard peer on which its profile depends: a Peer, or a row of a list."""

    @property
    def type(self) -> str: ...
    @property
    def host(self) -> int: ...
    @property
    def public_key(self) -> str: ...
    @property
    def route_all(self) -> bool: ...
    @property
    def is_exit(self) -> bool | None: ...


def is_digest(delivered: str, digest: str, router: Router | None) -> bool:
    """Is a delivered digest the one of this configuration, on a site's router?

    Older digests do not cover the router: for which one such a file was written is not known.
    """
    is_old = delivered == digest and not (router is not None and router.alias)
    return is_old or (router is not None and delivered == _with_router(digest, router))


def _with_router(digest: str, router: Router) -> str:
    aliases = "".join(f" {text}" for text in router.alias or ())
    return hashlib.sha256(f"{digest} {router.platform} {router.platform_version}{aliases}".encode()).hexdigest()


def _with_exit(digest: str, peer: Compared) -> str:
    """The digest with a site's part as an exit, for which its router has files; the same if it never was one."""
    if peer.is_exit is None:
        return digest
    return hashlib.sha256(f"{digest} exit {peer.is_exit}".encode()).hexdigest()


def router_access(instance: Instance, peer: Compared, router: Router, sites: SiteSubnets) -> RouterAccess:
    """What a site's router accepts for its management; one query for all routers of an instance where it is on."""
    if not instance.management_sources or not has_accepts(router.platform):
        return NO_ACCESS
    own = {*own_networks_of(peer, sites), *map(parse_network, instance.own_networks(peer.host))}
    return access_of(instance, sites, own)


def _with_access(digest: str, access: RouterAccess) -> str:
    """The digest with what the router accepts; the same where it accepts nothing."""
    texts = (*(service.value for service in access.services), *map(str, access.networks))
    return hashlib.sha256(f"{digest} accepts {' '.join(texts)}".encode()).hexdigest() if access else digest


def _configuration_digest(peer: Peer, sites: SiteSubnets | None) -> str:
    if peer.is_openvpn:
        digest = openvpn.configuration_digest(openvpn_profile_of(peer, with_key=False))
        if peer.site is None or not peer.site.has_static_routes:
            return digest
        sites = site_subnets(peer.instance) if sites is None else sites
        routes = sites.split_routes(peer.instance).texts_without(own_networks_of(peer, sites))
        return hashlib.sha256(f"{digest} {' '.join(routes)}".encode()).hexdigest()
    return wireguard.configuration_digest(profile_of(peer, with_key=False, sites=sites))


def profile_state(peer: Peer) -> ProfileState:
    """Was a profile fetched, and does it equal the present one in what it configures?"""
    return profile_states(peer.instance, [peer])[peer.pk]


def profile_states(
    instance: Instance,
    peers: Iterable[Peer],
    sites: SiteSubnets | None = None,
    *,
    digests: ProfileDigests | None = None,
) -> dict[UUID, ProfileState]:
    """`profile_state` of many peers of one instance, with one query in all, or none if `sites` or `digests` are given.

    `digests` are those of the instance as it is, see `known`.
    """
    if digests is None:
        digests = ProfileDigests(instance, site_subnets(instance) if sites is None else sites)
    states = {}
    for peer in peers:
        peer.instance = instance
        if not peer.delivered_digest:
            states[peer.pk] = ProfileState.UNDELIVERED
        elif digests.is_of(peer, peer.delivered_digest) and not has_moved(instance, peer.delivered_host):
            states[peer.pk] = ProfileState.CURRENT
        else:
            states[peer.pk] = ProfileState.OUTDATED
    return states


class Common(NamedTuple):
    """What a device's profile configures besides its addresses and key, as JSON text: the routes, and what is around.

    `rest` is the text between addresses and routes, then as far as the key, then behind it.
    """

    begin: str
    routes: str
    rest: tuple[str, str, str]


class ProfileDigests:
    """The digests of many profiles of one instance.

    WireGuard devices differ in key and addresses alone, sites in their routes too: what they have in common is worked
    out once.
    """

    def __init__(self, instance: Instance, sites: SiteSubnets) -> None:
        self._instance = instance
        self.sites = sites
        self._shared: dict[tuple[PeerType, bool], Common] = {}
        self._of_sites: dict[UUID, tuple[tuple[object, ...], str]] = {}

    def is_of(self, peer: Peer, delivered: str) -> bool:
        """Is this the digest of the peer's profile as it is now?"""
        return self.is_digest_of(peer, delivered, self._without_router(peer), peer.site)

    def is_digest_of(self, peer: Compared, delivered: str, digest: str, router: Router | None) -> bool:
        """As `is_digest`, for a peer, with what a site's router accepts for its management."""
        access = NO_ACCESS if router is None else router_access(self._instance, peer, router, self.sites)
        digest = _with_exit(digest, peer)
        if router is None or not access:
            return is_digest(delivered, digest, router)
        return delivered == _with_access(_with_router(digest, router), access)

    def current(self, peer: Peer) -> str:
        """The same as `current_digest`."""
        digest = self._without_router(peer)
        if peer.site is None:
            return digest
        access = router_access(self._instance, peer, peer.site, self.sites)
        return _with_access(_with_router(_with_exit(digest, peer), peer.site), access)

    def _without_router(self, peer: Peer) -> str:
        return _configuration_digest(peer, self.sites) if peer.is_openvpn else self.of_wireguard(peer)

    def of_wireguard(self, peer: Compared) -> str:
        """The digest of a WireGuard peer's profile, for a site without its router."""
        if peer.type == PeerType.SITE or peer.subnets:
            return self._of_site(peer)
        return self.of(peer.host, peer.public_key, route_all=peer.route_all)

    def of(self, host: int, public_key: str, *, route_all: bool) -> str:
        """The digest of a device's WireGuard profile."""
        common = self._common(PeerType.CLIENT, route_all=route_all)
        return self._digest(common, host, public_key, common.routes)

    def _of_site(self, peer: Compared) -> str:
        """The same as `of_wireguard`. Kept, as the digest of a site covers the routes to all other sites."""
        facts = (peer.type, peer.host, peer.public_key, peer.route_all, *peer.subnets, *map(str, peer.aliases))
        known = self._of_sites.get(peer.pk)
        if known is None or known[0] != facts:
            known = self._of_sites[peer.pk] = facts, self._digest_of_site(peer)
        return known[1]

    def _digest_of_site(self, peer: Compared) -> str:
        common = self._common(PeerType(peer.type), route_all=peer.route_all)
        if peer.route_all:
            return self._digest(common, peer.host, peer.public_key, common.routes)
        split = self.sites.split_routes(self._instance)
        # As JSON, which is quicker put together here: a network has no character to escape.
        routes = '","'.join(split.sorted_texts_without(own_networks_of(peer, self.sites)))
        return self._digest(common, peer.host, peer.public_key, f'["{routes}"]' if routes else "[]")

    def _digest(self, common: Common, host: int, public_key: str, routes: str) -> str:
        between, after, end = common.rest
        text = f"{common.begin}{self._addresses(host)}{between}{routes}{after}{_json(public_key)}{end}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _common(self, kind: PeerType, *, route_all: bool) -> Common:
        if (kind, route_all) not in self._shared:
            stand_in = Peer(type=kind, host=FIRST_PEER_HOST, route_all=route_all)
            stand_in.instance, stand_in.member, stand_in.site = self._instance, None, None
            profile = profile_of(stand_in, with_key=False, sites=self.sites)
            routes = _json(sorted(map(str, profile.allowed_ips)))
            begin, _, rest = wireguard.configuration(profile).partition(self._addresses(FIRST_PEER_HOST))
            between, _, rest = rest.partition(routes)
            after, _, end = rest.partition(_NO_KEY)
            self._shared[kind, route_all] = Common(begin, routes, (between, after + _NO_KEY[:-2], end))
        return self._shared[kind, route_all]

    def _addresses(self, host: int) -> str:
        return _json(sorted(self._instance.own_networks(host)))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def outdated_reason(
    delivered_at: datetime | None, keys_replaced_at: datetime | None, state: ProfileState
) -> OutdatedReason | None:
    """Why a profile that was delivered then is outdated; None if it is not. `keys_replaced_at` is the hub's."""
    if state != ProfileState.OUTDATED:
        return None
    is_former = keys_replaced_at is not None and delivered_at is not None and delivered_at < keys_replaced_at
    return OutdatedReason.KEYS_REPLACED if is_former else OutdatedReason.CHANGED


def has_moved(instance: Instance, delivered_host: str) -> bool:
    """Does a delivered profile point to an address or a name that the hub has no longer?

    The present name follows the hub. A former one, from before VPN_DOMAIN was changed, does not. The address of a
    former server stays valid as long as that server forwards.
    """
    addresses = instance.server.addresses if instance.server is not None else ()
    if not delivered_host or delivered_host in (*addresses, *instance.earlier_addresses):
        return False
    return bool(addresses) if _is_address(delivered_host) else delivered_host != instance.full_hostname


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
