"""Teltonika routers with RutOS 7: WireGuard by its values, OpenVPN by its file."""

from __future__ import annotations

from django.utils.translation import gettext as _

from vpn.constants import MAX_MTU, MIN_MTU
from vpn.profiles.boxes.parts import former_step, listed, plain_ovpn
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import (
    OWN_KEY,
    RouterProfile,
    SiteRouter,
    Step,
    Values,
    checked_key,
    checked_number,
    device_of,
    everything_step,
    host_and_port,
    interface_addresses,
)
from vpn.profiles.wireguard import WireGuardProfile


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The steps, with the values. Raises ValueError for a value that its field cannot hold."""
    name = device_of(router)
    own: Values = (
        ("Private key", _(OWN_KEY) if profile.private_key is None else checked_key(profile.private_key)),
        ("IP addresses", ", ".join(str(address) for address in interface_addresses(profile.addresses))),
        ("MTU", checked_number(profile.mtu, MIN_MTU, MAX_MTU)),
    )
    return RouterProfile(
        (),
        (
            former_step(),
            Step(_("Services, VPN, WireGuard: add an instance and enable it."), (("Name", name), *own)),
            Step(_("In the same window, Peers: add one, with “Route allowed IPs” on. Save."), _peer(profile)),
            _firewall("wireguard"),
            *everything_step(profile.allowed_ips),
            _removal("WireGuard", name),
        ),
    )


def _peer(profile: WireGuardProfile) -> Values:
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    return (
        ("Public key", checked_key(profile.hub_public_key)),
        *(() if profile.preshared_key is None else (("Pre-shared key", checked_key(profile.preshared_key)),)),
        ("Endpoint host", host),
        ("Endpoint port", port),
        ("Allowed IPs", listed(profile.allowed_ips)),
        ("Persistent keep alive", checked_number(profile.keepalive, 0, 65535)),
    )


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The file and the steps. Raises ValueError for a value that its place cannot hold."""
    file, name = plain_ovpn(profile, router), device_of(router)
    return RouterProfile(
        (file,),
        (
            former_step(),
            Step(_("Services, VPN, OpenVPN: add an instance with the role Client."), (("Name", name),)),
            Step(
                _("Switch “Enable OpenVPN config from file” on, upload %(file)s, enable the instance, and save.")
                % {"file": file.filename}
            ),
            _firewall("openvpn"),
            _removal("OpenVPN", name),
        ),
    )


def _firewall(zone: str) -> Step:
    return Step(
        _("Network, Firewall: let the zones %(zone)s and lan forward to each other, without masquerading.")
        % {"zone": zone}
    )


def _removal(page: str, name: str) -> Step:
    return Step(
        _("To remove it later: delete the instance under Services, VPN, %(page)s.") % {"page": page}, (("Name", name),)
    )
