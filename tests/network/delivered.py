"""The profiles that the portal delivers, for the devices of a laboratory's hub: `vpn.profiles` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network

from tests.network.hub import EVERYTHING, POOL_V4, POOL_V6, Device, Hub, OpenVPNDevice
from tests.network.lab import Node
from vpn.profiles import openvpn, wireguard
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.wireguard import WireGuardProfile


def wireguard_profile(
    hub: Hub, device: Device, host: str, *, everything: bool = False, dns: Sequence[str] = ()
) -> WireGuardProfile:
    """What a device should import; `host` is the hub's address."""
    subnets = [subnet for other in hub.devices.values() if other is not device for subnet in other.subnets]
    allowed_ips = EVERYTHING if everything else (str(POOL_V4), str(POOL_V6), *subnets)
    return WireGuardProfile(
        name="Fleet: laptop",
        private_key=device.private_key,
        public_key=device.public_key,
        addresses=(IPv4Interface(f"{device.v4}/32"), IPv6Interface(f"{device.v6}/128")),
        dns=tuple(ip_address(server) for server in dns),
        mtu=hub.mtu,
        hub_public_key=hub.public_key,
        preshared_key=device.preshared_key,
        endpoint_host=host,
        endpoint_port=hub.port,
        allowed_ips=tuple(ip_network(network) for network in allowed_ips),
    )


def openvpn_profile(
    hub: Hub, device: OpenVPNDevice, hosts: Sequence[str], *, protocols: Sequence[str] = ("udp", "tcp")
) -> OpenVPNProfile:
    """What a device should import; `hosts` are the hub's addresses."""
    assert hub.authority is not None
    return OpenVPNProfile(
        name="Fleet: laptop",
        remotes=tuple((host, hub.authority.port, protocol) for host in hosts for protocol in protocols),
        ca=hub.authority.authority.certificate,
        certificate=device.credential.certificate,
        private_key=device.credential.private_key,
        tls_crypt_v2=hub.authority.client_key,
        server_name="hub",
        route_all=device.route_all,
        mtu=hub.mtu,
    )


def bring_up(
    hub: Hub,
    node: Node,
    device: Device | OpenVPNDevice,
    hosts: Sequence[str],
    *,
    protocols: Sequence[str] = ("udp", "tcp"),
    everything: bool = False,
    dns: Sequence[str] = (),
) -> None:
    """Bring a device's profile up on `node` with the stock programs, and wait until the hub answers."""
    lab = hub.lab
    if isinstance(device, OpenVPNDevice):
        over_openvpn = openvpn_profile(hub, device, hosts, protocols=protocols)
        lab.openvpn_up(node, openvpn.render(over_openvpn), seconds=40)
    else:
        lab.wg_quick_up(
            node, wireguard.render(wireguard_profile(hub, device, hosts[0], everything=everything, dns=dns))
        )
    lab.wait_ping(node, hub.v4)
