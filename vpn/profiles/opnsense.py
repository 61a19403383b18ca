"""OPNsense and pfSense: steps through their pages, with the values to paste. Both read no file of ours."""

from __future__ import annotations

from vpn.constants import MAX_MTU, MIN_MTU
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import (
    Network,
    RouterProfile,
    SiteRouter,
    Step,
    certificate,
    checked_key,
    checked_number,
    host_and_port,
    interface_addresses,
    networks,
    private_key,
    remote_of,
    tag_of,
    without_default,
)
from vpn.profiles.wireguard import WireGuardProfile

Values = tuple[tuple[str, str], ...]

_OWN_KEY = "generate it here, and enter the public key in the portal"


def wireguard(profile: WireGuardProfile, router: SiteRouter, *, pfsense: bool = False) -> RouterProfile:
    """The steps for WireGuard. Raises ValueError for a value that its field cannot hold."""
    tag = tag_of(router)
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    key = _OWN_KEY if profile.private_key is None else checked_key(profile.private_key)
    addresses = [str(address) for address in interface_addresses(profile.addresses)]
    preshared = () if profile.preshared_key is None else (("Pre-shared key", checked_key(profile.preshared_key)),)
    allowed = networks(profile.allowed_ips)
    if not allowed or not addresses:
        raise ValueError("At least one address and one network were expected.")
    listen: Values = ()
    if profile.listen_port is not None:
        listen = (("Listen port", checked_number(profile.listen_port, 1, 65535)),)
    mtu = checked_number(profile.mtu, MIN_MTU, MAX_MTU)
    peer: Values = (
        ("Description" if pfsense else "Name", f"{tag}-hub"),
        ("Public key", checked_key(profile.hub_public_key)),
        *preshared,
        ("Allowed IPs", ", ".join(str(network) for network in allowed)),
        ("Endpoint" if pfsense else "Endpoint address", host),
        ("Endpoint port", port),
        ("Keep alive" if pfsense else "Keepalive interval", checked_number(profile.keepalive, 0, 65535)),
    )
    if pfsense:
        return RouterProfile((), _pfsense_wireguard(tag, key, addresses, listen, mtu, peer, allowed))
    instance: Values = (("Name", tag), ("Private key", key), *listen, ("MTU", mtu))
    return RouterProfile(
        (),
        (
            Step("VPN, WireGuard, Peers: add one.", peer),
            Step(
                "VPN, WireGuard, Instances: add one (advanced mode shows the MTU), and choose the peer. Leave “Disable "
                "routes” off, so that the routes are set.",
                (*instance, ("Tunnel address", ", ".join(addresses)), ("Peers", f"{tag}-hub")),
            ),
            Step("VPN, WireGuard, General: enable WireGuard and apply."),
            *_opnsense_firewall("WireGuard (Group)", profile.allowed_ips),
        ),
    )


def _pfsense_wireguard(
    tag: str, key: str, addresses: list[str], listen: Values, mtu: str, peer: Values, allowed: tuple[Network, ...]
) -> tuple[Step, ...]:
    tunnel: Values = (("Description", tag), *listen, ("Interface keys", key))
    return (
        Step("System, Package Manager: install the package WireGuard."),
        Step("VPN, WireGuard, Tunnels: add one.", tunnel),
        Step("VPN, WireGuard, Peers: add one, with “Dynamic endpoint” off.", (("Tunnel", tag), *peer)),
        Step("VPN, WireGuard, Settings: enable WireGuard and apply."),
        Step(
            "Interfaces, Assignments: assign the tunnel, enable the interface with static addresses.",
            (("Addresses", ", ".join(addresses)), ("MTU", mtu)),
        ),
        Step("System, Routing, Gateways: add one for IPv4 and one for IPv6 on that interface, with its own address."),
        Step(
            "System, Routing, Static Routes: add these networks through the gateway of their kind.",
            (("Destination networks", ", ".join(str(network) for network in without_default(allowed))),),
        ),
        Step("Firewall, Rules, the interface: pass everything; the hub has decided what may come."),
        *_everything(allowed),
    )


def openvpn(profile: OpenVPNProfile, router: SiteRouter, *, pfsense: bool = False) -> RouterProfile:
    """The steps for OpenVPN through the compatibility listener. Raises ValueError for a value that its field cannot
    hold, and for a profile that is not meant for that listener."""
    if not profile.compat:
        raise ValueError("The compatibility listener is needed.")
    tag = tag_of(router)
    host, port, _ = remote_of(profile, "tcp")
    mtu = checked_number(profile.mtu, MIN_MTU, MAX_MTU)
    authority: Values = (("Description", f"{tag}-ca"), ("Certificate data", certificate(profile.ca)))
    own: Values = (
        ("Description", f"{tag}-client"),
        ("Certificate data", certificate(profile.certificate)),
        ("Private key data", private_key(profile.private_key)),
    )
    trust = ("System, Certificates, Authorities" if pfsense else "System, Trust, Authorities", authority)
    certificates = ("System, Certificates, Certificates" if pfsense else "System, Trust, Certificates", own)
    client: Values = (
        ("Server mode" if pfsense else "Role", "Peer to Peer (SSL/TLS)" if pfsense else "Client"),
        ("Description", tag),
        ("Protocol", f"TCP on IPv{6 if ':' in host else 4} only" if pfsense else "TCP"),
        *((("Server host", host), ("Server port", port)) if pfsense else (("Remote", f"{_bracketed(host)}:{port}"),)),
        ("Peer certificate authority" if pfsense else "Certificate authority", f"{tag}-ca"),
        ("Client certificate" if pfsense else "Certificate", f"{tag}-client"),
        ("Use a TLS key" if pfsense else "TLS static key", "no" if pfsense else "none"),
        ("Data encryption algorithms" if pfsense else "Data ciphers", "AES-256-GCM"),
        ("Auth digest algorithm" if pfsense else "Auth", "SHA1"),
        ("Server certificate key usage validation" if pfsense else "Verify remote certificate", "on"),
        ("Custom options", f"tun-mtu {mtu}") if pfsense else ("TUN device MTU", mtu),
    )
    steps = [
        Step(f"{trust[0]}: import an existing one.", trust[1]),
        Step(f"{certificates[0]}: import an existing one.", certificates[1]),
        Step(f"VPN, OpenVPN, {'Clients' if pfsense else 'Instances'}: add one.", client),
    ]
    if pfsense:
        steps.append(Step("Firewall, Rules, OpenVPN: pass everything; the hub has decided what may come."))
    else:
        steps += _opnsense_firewall("OpenVPN", ())
    return RouterProfile((), tuple(steps))


def _opnsense_firewall(interface: str, allowed: tuple[Network, ...]) -> tuple[Step, ...]:
    return (
        Step(f"Firewall, Rules, {interface}: pass everything; the hub has decided what may come."),
        *_everything(allowed),
    )


def _everything(allowed: tuple[Network, ...]) -> tuple[Step, ...]:
    if all(network.prefixlen for network in allowed):
        return ()
    return (Step("The hub takes all traffic: decide with rules and gateways on the router what shall go there."),)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
