"""pfSense: steps through its pages, with the values to paste in the order of the forms; it imports no file.

Labels and pages are those of pfSense 2.6 and 2.7 and of its package WireGuard. That package makes no routes from
Allowed IPs, and has a row for each of them. So the networks are put into aliases, which can be pasted.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Interface

from django.utils.translation import gettext as _

from vpn.choices import Platform
from vpn.constants import MAX_MTU, MIN_MTU
from vpn.platforms.versions import release_of
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import (
    OWN_KEY,
    Interface,
    Network,
    RouterProfile,
    SiteRouter,
    Step,
    Values,
    certificate,
    checked_key,
    checked_number,
    device_of,
    everything_step,
    host_and_port,
    interface_addresses,
    networks,
    private_key,
    remote_of,
    tag_of,
    without_default,
)
from vpn.profiles.wireguard import WireGuardProfile

_LISTEN_PORT = 51820
_NEW_CERTIFICATES = (2, 7)
_VERIFIES_USAGE = (2, 6)


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The steps for WireGuard. Raises ValueError for a value that its field cannot hold."""
    tag = tag_of(router)
    addresses, allowed = interface_addresses(profile.addresses), networks(profile.allowed_ips)
    if not allowed or not addresses:
        raise ValueError("At least one address and one network were expected.")
    listen = _LISTEN_PORT if profile.listen_port is None else profile.listen_port
    tunnel: Values = (
        ("Description", tag),
        ("Listen Port", checked_number(listen, 1, 65535)),
        ("Private Key", _(OWN_KEY) if profile.private_key is None else checked_key(profile.private_key)),
    )
    return RouterProfile(
        (),
        (
            Step(
                _(
                    "Only where this site was connected over OpenVPN before: delete its client under VPN, OpenVPN, "
                    "Clients. Two tunnels with the same addresses cut each other off."
                ),
                (("Description", tag),),
            ),
            Step(_("System, Package Manager: install the package WireGuard.")),
            Step(_("VPN, WireGuard, Tunnels: add one. Take another port where this one is in use."), tunnel),
            Step(
                _(
                    "VPN, WireGuard, Peers: add one for that tunnel, with “Dynamic Endpoint” off and a row for each "
                    "of the Allowed IPs. They make no routes here, so these two never change."
                ),
                _peer(profile, tag),
            ),
            Step(_("VPN, WireGuard, Settings: enable WireGuard, save and apply.")),
            Step(
                _("Interfaces, Assignments: add the tunnel, then open the interface, enable it, and apply."),
                _interface(profile, tag, addresses),
            ),
            *_routes_steps(device_of(router), addresses, without_default(allowed)),
            Step(_("Firewall, Rules, the interface: pass everything; the hub has decided what may come.")),
            *everything_step(allowed),
        ),
    )


def _peer(profile: WireGuardProfile, tag: str) -> Values:
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    return (
        ("Description", f"{tag}-hub"),
        ("Endpoint", host),
        ("Endpoint Port", port),
        ("Keep Alive", checked_number(profile.keepalive, 0, 65535)),
        ("Public Key", checked_key(profile.hub_public_key)),
        *(() if profile.preshared_key is None else (("Pre-shared Key", checked_key(profile.preshared_key)),)),
        (_("Allowed IPs, first row"), "0.0.0.0/0"),
        (_("Allowed IPs, second row"), "::/0"),
    )


def _interface(profile: WireGuardProfile, tag: str, addresses: tuple[Interface, ...]) -> Values:
    values: list[tuple[str, str]] = [("Description", tag.replace("-", "_"))]
    values += [(f"IPv{address.version} Configuration Type", f"Static IPv{address.version}") for address in addresses]
    values.append(("MTU", checked_number(profile.mtu, MIN_MTU, MAX_MTU)))
    # The labels as pfSense spells them.
    values += [("IPv4 Address" if _is_v4(each) else "IPv6 address", str(each)) for each in addresses]
    return tuple(values)


def _routes_steps(device: str, addresses: tuple[Interface, ...], wanted: tuple[Network, ...]) -> tuple[Step, ...]:
    """The steps for gateways, aliases and routes, if there is anything to route."""
    gateways, aliases, routes = [], [], []
    for address in addresses:
        version = address.version
        name = f"{device}_v{version}"
        inside = [str(network) for network in wanted if network.version == version]
        if not inside:
            continue
        # Each list gets another name, as an alias in use cannot be imported again.
        alias = f"{device}_{hashlib.sha256(' '.join(inside).encode()).hexdigest()[:4]}_v{version}"
        gateways.append(
            Step(
                _(
                    "System, Routing, Gateways: add one for IPv%(version)s on that interface. Tick “Disable Gateway "
                    "Monitoring”: the address is the interface's own."
                )
                % {"version": version},
                (("Address Family", f"IPv{version}"), ("Name", name), ("Gateway", str(address.ip))),
            )
        )
        aliases.append(
            Step(
                _("Firewall, Aliases, IP: Import."),
                (("Alias Name", alias), ("Aliases to import", "\n".join(inside))),
            )
        )
        routes.append(
            Step(
                _(
                    "System, Routing, Static Routes: add one to that alias, and apply. When the networks change, "
                    "import the new alias, choose it in this route, and delete the old one."
                ),
                (("Destination network", alias), ("Gateway", name)),
            )
        )
    return (*gateways, *aliases, *routes)


def _is_v4(address: Interface) -> bool:
    return isinstance(address, IPv4Interface)


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The steps for OpenVPN through the compatibility listener.

    Raises ValueError for a value that its field cannot hold, and for a profile for another listener.
    """
    if not profile.compat:
        raise ValueError("The compatibility listener is needed.")
    tag, device, release = tag_of(router), device_of(router), release_of(Platform.PFSENSE, router.version)
    old = release and release < _NEW_CERTIFICATES
    place, tab = ("Cert. Manager", "CAs") if old else ("Certificates", "Authorities")
    authority: Values = (
        ("Descriptive name", f"{tag}-ca"),
        ("Method", "Import an existing Certificate Authority"),
        ("Certificate data", certificate(profile.ca)),
    )
    own: Values = (
        ("Method", "Import an existing Certificate"),
        ("Descriptive name", f"{tag}-client"),
        ("Certificate data", certificate(profile.certificate)),
        ("Private key data", private_key(profile.private_key)),
    )
    return RouterProfile(
        (),
        (
            Step(
                _(
                    "Only where this site was connected over WireGuard before: disable its peer under VPN, WireGuard, "
                    "Peers, and delete its static routes under System, Routing. Two tunnels with the same addresses "
                    "cut each other off."
                ),
                (("Peer", f"{tag}-hub"), (_("Gateways of the routes"), f"{device}_v4, {device}_v6")),
            ),
            Step(_("System, %(place)s, %(tab)s: add one.") % {"place": place, "tab": tab}, authority),
            Step(_("System, %(place)s, Certificates: add one.") % {"place": place}, own),
            Step(
                _("VPN, OpenVPN, Clients: add one. Leave what is not named here as it is."),
                _client(profile, tag, verifies=not release or release >= _VERIFIES_USAGE),
            ),
            Step(_("Firewall, Rules, OpenVPN: pass everything; the hub has decided what may come.")),
        ),
    )


def _client(profile: OpenVPNProfile, tag: str, *, verifies: bool) -> Values:
    host, port, _ = remote_of(profile, "tcp")
    return (
        ("Description", tag),
        ("Server mode", "Peer to Peer ( SSL/TLS )"),
        ("Protocol", f"TCP on IPv{6 if ':' in host else 4} only"),
        ("Server host or address", host),
        ("Server port", port),
        ("Use a TLS Key", "off"),
        ("Peer Certificate Authority", f"{tag}-ca"),
        ("Client Certificate", f"{tag}-client"),
        ("Data Encryption Algorithms", "AES-256-GCM"),
        ("Auth digest algorithm", "SHA1 (160-bit)"),
        *((("Server Certificate Key Usage Validation", "Enforce key usage"),) if verifies else ()),
        ("Custom options", f"tun-mtu {checked_number(profile.mtu, MIN_MTU, MAX_MTU)}"),
    )
