"""From a peer's row to the profile that its device imports, and how the delivered one compares with it."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)
from uuid import UUID

from vpn.addressing.networks import Network, contains, is_default_route
from vpn.addressing.pools import FIRST_PEER_HOST, HUB_HOST
from vpn.addressing.routes import split_tunnel_routes
from vpn.choices import KeyCustody, PeerType, Platform, ProfileState, Protocol
from vpn.models import Instance, Peer, Site
from vpn.profiles import openvpn, wireguard
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import metric_of
from vpn.profiles.wireguard import WireGuardProfile
from vpn.validators import parse_network

_DIGITS = string.digits + string.ascii_lowercase
_EVERYTHING: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class SiteSubnets(dict[UUID, tuple[Network, ...]]):
    """The subnets of each of an instance's site peers, and what follows from them for all its devices alike."""

    device_routes: tuple[Network, ...] | None = None


class NoAddress(Exception):
    """The instance's server has no public address yet, so no device could find it."""


class NoFamily(Exception):
    """The instance's server has no address of the family that was asked for."""

    def __init__(self, family: int) -> None:
        super().__init__(f"This hub has no IPv{family} address.")


def site_subnets(instance: Instance) -> SiteSubnets:
    """What the sites of an instance advertise, by peer."""
    rows = instance.peers.admitted().filter(type=PeerType.SITE).values_list("pk", "subnets")
    return SiteSubnets((pk, tuple(parse_network(text) for text in subnets)) for pk, subnets in rows)


@dataclass(frozen=True)
class Rendered:
    """A profile as a file, and the digest of what it configures."""

    filename: str
    content: str = field(repr=False)
    content_type: str
    digest: str
    host: str


def render_profile(peer: Peer, sites: SiteSubnets | None = None, family: int | None = None) -> Rendered:
    """The file that the peer's device imports, with its keys; without `sites` they are looked up.

    `family` (4 or 6) says by which of the hub's addresses the device should find it first; which one that is
    outdates nothing. Raises NoAddress, or NoFamily where the hub has no address of that family.
    """
    sites = site_subnets(peer.instance) if sites is None else sites
    if peer.is_openvpn:
        over_openvpn = openvpn_profile_of(peer, family=family)
        return Rendered(
            filename=filename_of(peer, Protocol.OPENVPN),
            content=openvpn.render(over_openvpn),
            content_type=openvpn.CONTENT_TYPE,
            digest=current_digest(peer, sites),
            host=over_openvpn.remotes[0][0],
        )
    over_wireguard = profile_of(peer, sites=sites, family=family)
    if peer.site is not None and peer.site.platform == Platform.LINUX:
        # There it is wg-quick that reads it.
        over_wireguard = replace(over_wireguard, metric=metric_of(tag_of_peer(peer)))
    return Rendered(
        filename=filename_of(peer, Protocol.WIREGUARD),
        content=wireguard.render(over_wireguard),
        content_type=wireguard.CONTENT_TYPE,
        digest=current_digest(peer, sites),
        host=over_wireguard.endpoint_host,
    )


def tag_of_peer(peer: Peer) -> str:
    """What marks everything that is ours on a site's router."""
    return f"vpn-{peer.pk.hex[:8]}"


def filename_of(peer: Peer, protocol: str) -> str:
    """What the peer's plain profile over a protocol is called, which no other peer's is."""
    if protocol == Protocol.OPENVPN:
        return openvpn.filename(f"{peer.instance.hostname} {peer.relative_name}", _distinction_of(peer))
    return wireguard.filename(peer.instance.hostname, _distinction_of(peer))


def wg_quick_filename(peer: Peer) -> str:
    """What a device's profile for wg-quick is called: not as the one for apps, or a browser would rename the second."""
    return wireguard.filename(peer.instance.hostname, f"{_distinction_of(peer)}q")


def _distinction_of(peer: Peer) -> str:
    """What tells the files of one instance's peers apart: 3 to 6 of a-z and 0-9, the same as long as the peer lives.

    The number in the pool belongs to one peer at a time. Two characters more tell it from a later peer with that
    number, and from one of another hub.
    """
    number, digits = peer.host, ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    by_chance = hashlib.sha256(peer.pk.bytes).digest()
    return digits + _DIGITS[by_chance[0] % len(_DIGITS)] + _DIGITS[by_chance[1] % len(_DIGITS)]


def profile_of(
    peer: Peer, *, with_key: bool = True, sites: SiteSubnets | None = None, family: int | None = None
) -> WireGuardProfile:
    """What a WireGuard device should import now; without `with_key` it holds no secret (for comparing).

    `sites` saves asking for the instance's subnets again where many profiles are compared. Raises NoAddress.
    """
    instance = peer.instance
    address_v4, address_v6 = peer.addresses
    has_key = with_key and peer.key_custody == KeyCustody.PORTAL
    return WireGuardProfile(
        name=f"{instance.name}: {peer.label}",
        private_key=peer.private_key if has_key else None,
        public_key=peer.public_key,
        addresses=(IPv4Interface((address_v4, 32)), IPv6Interface((address_v6, 128))),
        # A router keeps its own resolver.
        dns=() if peer.is_site else resolver_of(instance),
        search_domains=() if peer.is_site else tuple(instance.search_domains),
        mtu=instance.mtu,
        hub_public_key=instance.public_key,
        preshared_key=peer.preshared_key if with_key else "",
        endpoint_host=_addresses(instance, needed=with_key, family=family)[0],
        endpoint_port=instance.wireguard_port,
        allowed_ips=routes_of(peer, site_subnets(instance) if sites is None else sites),
    )


def resolver_of(instance: Instance) -> tuple[IPv4Address, IPv6Address]:
    """Where the hub answers names: its own addresses in the tunnels."""
    return instance.host_addresses(HUB_HOST)


def openvpn_profile_of(peer: Peer, *, with_key: bool = True, family: int | None = None) -> OpenVPNProfile:
    """What an OpenVPN device should import now; without `with_key` it holds no secret (for comparing)."""
    instance = peer.instance
    hosts = _addresses(instance, needed=with_key, family=family)
    compat = peer.site is not None and peer.site.needs_compat
    ports = ((instance.compat_port, "tcp"),) if compat else tuple((instance.openvpn_port, by) for by in ("udp", "tcp"))
    return OpenVPNProfile(
        name=f"{instance.name}: {peer.label}",
        # All ports of one address, then the next: a device without a route to one, or without UDP, waits less.
        remotes=tuple((host, port, by) for host in hosts for port, by in ports),
        ca=instance.authority_certificate,
        certificate=peer.certificate,
        private_key=peer.private_key if with_key else None,
        tls_crypt_v2=peer.tls_crypt_key if with_key and not compat else None,
        server_name=instance.hub,
        route_all=peer.route_all,
        compat=compat,
        mtu=instance.mtu,
    )


def _addresses(instance: Instance, *, needed: bool, family: int | None) -> tuple[str, ...]:
    addresses = instance.server.addresses if instance.server is not None else ()
    if needed and not addresses:
        raise NoAddress
    if family is None or not addresses:
        return addresses or ("",)
    if all(ip_address(address).version != family for address in addresses):
        raise NoFamily(family)
    return tuple(sorted(addresses, key=lambda address: ip_address(address).version != family))


def routes_of(peer: Peer, sites: SiteSubnets) -> tuple[Network, ...]:
    """What the device sends into the tunnel: everything, or the pool, the sites' subnets and the pushed routes."""
    if peer.route_all:
        return _EVERYTHING
    if peer.pk in sites or peer.subnets:
        own = frozenset(sites.get(peer.pk, ())) | {parse_network(text) for text in peer.subnets}
        others = [network for pk, networks in sites.items() if pk != peer.pk for network in networks]
        return _split_routes(peer.instance, others, own)
    if sites.device_routes is None:
        sites.device_routes = _split_routes(peer.instance, [network for some in sites.values() for network in some])
    return sites.device_routes


def _split_routes(
    instance: Instance, subnets: list[Network], own: frozenset[Network] = frozenset()
) -> tuple[Network, ...]:
    """The routes of a split tunnel, without a site's own networks."""
    pushed = [parse_network(text) for text in instance.pushed_routes]
    endpoints = instance.server.endpoint_networks if instance.server is not None else ()
    subnets, pushed = ([network for network in some if network not in own] for some in (subnets, pushed))
    return tuple(split_tunnel_routes(instance.network_v4, instance.network_v6, subnets, pushed, endpoints))


def left_out(peer: Peer) -> list[str]:
    """The hub's own addresses that a network of the peer's split tunnel contains: they are reached directly."""
    instance = peer.instance
    if peer.route_all or instance.server is None:
        return []
    sites = site_subnets(instance)
    routed = [network for pk, networks in sites.items() if pk != peer.pk for network in networks]
    routed += [parse_network(text) for text in instance.pushed_routes]
    narrow = [network for network in routed if not is_default_route(network)]
    return [
        address
        for address, endpoint in zip(instance.server.addresses, instance.server.endpoint_networks, strict=True)
        if any(contains(network, endpoint) for network in narrow)
    ]


def current_digest(peer: Peer, sites: SiteSubnets | None = None) -> str:
    """The digest of what the peer's profile would configure now, and of a site's router that it is written for."""
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
    """Was a profile fetched, and does it configure what it would configure now?"""
    return profile_states(peer.instance, [peer])[peer.pk]


def profile_states(
    instance: Instance, peers: Iterable[Peer], sites: SiteSubnets | None = None
) -> dict[UUID, ProfileState]:
    """`profile_state` of many peers of one instance, with one query in all, or none where `sites` are known."""
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
    """The digests of many profiles of one instance. Devices over WireGuard differ in key and addresses alone, so that
    what they have in common is worked out once."""

    def __init__(self, instance: Instance, sites: SiteSubnets) -> None:
        self._instance = instance
        self._sites = sites
        self._shared: dict[bool, tuple[str, str, str]] = {}

    def is_of(self, peer: Peer, delivered: str) -> bool:
        """Is this the digest of the peer's profile as it is now?

        Digests were noted without the router once. For which one such a file was written is not known.
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
    """Does a delivered profile point to an address that the hub has left? A name goes along with the hub."""
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
