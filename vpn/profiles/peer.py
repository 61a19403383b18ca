"""From a peer's row to the profile that its device imports."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address

from vpn.addressing.pools import HUB_HOST
from vpn.choices import KeyCustody, Platform
from vpn.models import Instance, Peer
from vpn.platforms.versions import VYOS_NAMED_HUB, version_of
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.tunnel_routes import SiteSubnets, routes_of, site_subnets
from vpn.profiles.wireguard import WireGuardProfile


class NoAddress(Exception):
    """The instance's server has no public address yet, so no device could reach it."""


class NoFamily(Exception):
    """The instance's server has no address of the family that was asked for."""

    def __init__(self, family: int) -> None:
        super().__init__(f"This hub has no IPv{family} address.")


def profile_of(
    peer: Peer, *, with_key: bool = True, sites: SiteSubnets | None = None, family: int | None = None
) -> WireGuardProfile:
    """The present profile of a WireGuard peer; without `with_key` it holds no secret, for comparing.

    `sites` saves a query for each profile where many are compared. Raises NoAddress or NoFamily.
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
        endpoint_host=_hosts(peer, needed=with_key, family=family)[0],
        endpoint_port=instance.wireguard_port,
        allowed_ips=routes_of(peer, site_subnets(instance) if sites is None else sites),
    )


def resolver_of(instance: Instance) -> tuple[IPv4Address, IPv6Address]:
    """The hub's resolver addresses: its own addresses in the tunnels."""
    return instance.host_addresses(HUB_HOST)


def openvpn_profile_of(peer: Peer, *, with_key: bool = True, family: int | None = None) -> OpenVPNProfile:
    """The present profile of an OpenVPN peer; without `with_key` it holds no secret, for comparing. Raises NoAddress or
    NoFamily."""
    instance = peer.instance
    hosts = _hosts(peer, needed=with_key, family=family)
    compat = peer.site is not None and peer.site.needs_compat
    ports = ((instance.compat_port, "tcp"),) if compat else tuple((instance.openvpn_port, by) for by in ("udp", "tcp"))
    return OpenVPNProfile(
        name=f"{instance.name}: {peer.label}",
        # All ports of one address come before the next: a device without a route to one address, or without UDP,
        # connects sooner.
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


def carried_name(peer: Peer) -> str:
    """The hub's name, if the peer's profile points to it; "" if the profile has addresses.

    The name has to be known to resolve to the hub. Some routers need an address.
    """
    return peer.instance.resolving_name if _takes_name(peer) else ""


def _takes_name(peer: Peer) -> bool:
    if peer.site is None:
        return True
    if peer.site.platform == Platform.VYOS and not peer.is_openvpn:
        return version_of(Platform.VYOS, peer.site.platform_version) >= VYOS_NAMED_HUB
    if peer.site.platform == Platform.PFSENSE and peer.is_openvpn:
        # Its client is told the family, and the portal cannot know which one a name has there.
        server = peer.instance.server
        return server is not None and all(ip_address(address).version == 4 for address in server.addresses)
    return bool(peer.site.platform != Platform.ROUTEROS6)


def _hosts(peer: Peer, *, needed: bool, family: int | None) -> tuple[str, ...]:
    """What the profile points to: the name or all addresses. A digest does not depend on it, so none is needed there.

    With a `family` these are addresses, since a name leaves the choice to the device.
    """
    if needed and family is None and (name := carried_name(peer)):
        return (name,)
    instance = peer.instance
    addresses = instance.server.addresses if instance.server is not None else ()
    if needed and not addresses:
        raise NoAddress
    if family is None or not addresses:
        return addresses or ("",)
    if all(ip_address(address).version != family for address in addresses):
        raise NoFamily(family)
    return tuple(sorted(addresses, key=lambda address: ip_address(address).version != family))
