"""The very files that the portal delivers, for the peers of a laboratory's hub.

Each peer gets a row as the portal's database would have it. `vpn.profiles.plain_file.render_profile` writes the file,
as it does for `GET /client` and for the download of a profile's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from uuid import UUID

from tests.lab.devices import POOL_V6, Device, OpenVPNDevice
from vpn.choices import PeerType, Platform, Protocol
from vpn.models import Instance, Peer, PublicName, Server, Site
from vpn.profiles.plain_file import render_profile
from vpn.profiles.state import ProfileDigests
from vpn.profiles.tunnel_routes import SiteSubnets

if TYPE_CHECKING:
    from tests.lab.hub import Hub
    from tests.lab.nodes import Node


def delivered(hub: Hub, device: Device | OpenVPNDevice, hosts: Sequence[str] = (), *, everything: bool = False) -> str:
    """The text of a peer's file; `hosts` are the hub's addresses, `everything` makes a device's tunnel a full one."""
    row = peer_row(hub, device, hosts, everything=everything)
    sites = SiteSubnets(
        (UUID(peer_id), tuple(map(ip_network, other.subnets)))
        for peer_id, other in hub.devices.items()
        if other.subnets
    )
    return render_profile(row, ProfileDigests(row.instance, sites)).content


def peer_row(hub: Hub, device: Device | OpenVPNDevice, hosts: Sequence[str] = (), *, everything: bool = False) -> Peer:
    """A peer as the portal's database would have it, not saved."""
    over_openvpn = isinstance(device, OpenVPNDevice)
    compat = isinstance(device, OpenVPNDevice) and device.compat
    is_site = bool(device.subnets) or compat
    peer = Peer(
        pk=UUID(device.peer_id),
        type=PeerType.SITE if is_site else PeerType.CLIENT,
        protocol=Protocol.OPENVPN if over_openvpn else Protocol.WIREGUARD,
        device="laptop",
        subnets=list(device.subnets),
        route_all=everything,
        host=int(ip_address(device.v4)) - int(hub.pool_v4.network_address),
    )
    peer.instance = instance_row(hub, hosts)
    if is_site:
        peer.site = Site(name="Branch", platform=Platform.ROUTEROS7 if compat else Platform.LINUX)
    if isinstance(device, Device):
        peer.public_key, peer.private_key = device.public_key, device.private_key
        peer.preshared_key = device.preshared_key
        return peer
    assert hub.authority is not None
    peer.route_all = device.route_all
    peer.certificate, peer.private_key = device.credential.certificate, device.credential.private_key
    peer.tls_crypt_key = hub.authority.client_key
    return peer


def instance_row(hub: Hub, hosts: Sequence[str] = ()) -> Instance:
    """An instance as the portal's database would have it, not saved."""
    names = list(hub.search_domains) or ["fleet"]
    first, *second = hosts or (hub.lab.host.v4,)
    instance = Instance(
        # What the authority of the laboratory calls the hub in its certificate.
        hub="hub",
        name="Fleet",
        hostname=names[0].partition(".")[0],
        domains=names[1:],
        pool_v4=str(hub.pool_v4),
        pool_v6=str(POOL_V6),
        port_base=hub.port,
        mtu=hub.mtu,
        public_key=hub.public_key,
    )
    instance.server = Server(name="Host", address=first, address_v6=second[0] if second else None)
    # Without a name that resolves, files carry addresses.
    PublicName(instance=instance)
    if hub.authority is not None:
        instance.authority_certificate = hub.authority.authority.certificate
    return instance


def bring_up(
    hub: Hub,
    node: Node,
    device: Device | OpenVPNDevice,
    hosts: Sequence[str],
    *,
    transport: str = "",
    everything: bool = False,
) -> None:
    """Bring a device's file up on `node` with the stock programs, and wait until the hub answers."""
    lab, text = hub.lab, delivered(hub, device, hosts, everything=everything)
    if isinstance(device, OpenVPNDevice):
        lab.openvpn_up(node, text, seconds=40, transport=transport)
    else:
        lab.wg_quick_up(node, text)
    lab.wait_ping(node, hub.v4)
