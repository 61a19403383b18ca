"""OPNsense: steps through its pages, with the values to paste in the order of the forms; it imports no file.

Labels and pages are those of opnsense/core, stable/23.7 to stable/26.1.
"""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from vpn.choices import Platform
from vpn.constants import MAX_MTU, MIN_MTU
from vpn.platforms.versions import version_of
from vpn.profiles.openvpn import OpenVPNProfile
from vpn.profiles.router import (
    OWN_KEY,
    RouterProfile,
    SiteRouter,
    Step,
    Values,
    certificate,
    checked_key,
    checked_number,
    everything_step,
    host_and_port,
    interface_addresses,
    networks,
    private_key,
    remote_of,
    tag_of,
)
from vpn.profiles.wireguard import WireGuardProfile

# The pages of certificates and of OpenVPN's instances changed their fields.
_NEW_TRUST = (24, 7)
_VERIFIES_REMOTE = (25, 1)
_ADVANCED = gettext_noop("advanced mode, the switch at the top of the form, shows all of these fields")


def wireguard(profile: WireGuardProfile, router: SiteRouter) -> RouterProfile:
    """The steps for WireGuard. Raises ValueError for a value that its field cannot hold."""
    tag = tag_of(router)
    host, port = host_and_port(profile.endpoint_host, profile.endpoint_port)
    addresses = [str(address) for address in interface_addresses(profile.addresses)]
    allowed = networks(profile.allowed_ips)
    if not allowed or not addresses:
        raise ValueError("At least one address and one network were expected.")
    peer: Values = (
        ("Name", f"{tag}-hub"),
        ("Public key", checked_key(profile.hub_public_key)),
        *(() if profile.preshared_key is None else (("Pre-shared key", checked_key(profile.preshared_key)),)),
        ("Allowed IPs", ", ".join(str(network) for network in allowed)),
        ("Endpoint address", host),
        ("Endpoint port", port),
        ("Keepalive interval", checked_number(profile.keepalive, 0, 65535)),
    )
    listen = profile.listen_port
    instance: Values = (
        ("Name", tag),
        ("Private key", _(OWN_KEY) if profile.private_key is None else checked_key(profile.private_key)),
        *(() if listen is None else (("Listen port", checked_number(listen, 1, 65535)),)),
        ("MTU", checked_number(profile.mtu, MIN_MTU, MAX_MTU)),
        ("Tunnel address", ", ".join(addresses)),
        ("Peers", f"{tag}-hub"),
    )
    return RouterProfile((), (*_wireguard_steps(tag, peer, instance), *everything_step(allowed)))


def _wireguard_steps(tag: str, peer: Values, instance: Values) -> tuple[Step, ...]:
    return (
        Step(
            _(
                "Only where this site was connected over OpenVPN before: delete its instance under VPN, OpenVPN, "
                "Instances, and apply. Two tunnels with the same addresses cut each other off."
            ),
            (("Description", tag),),
        ),
        Step(_("VPN, WireGuard, Peers: add one."), peer),
        Step(
            _(
                "VPN, WireGuard, Instances: add one (%(advanced)s), and choose the peer. Leave “Disable routes” off, "
                "so that the routes are set."
            )
            % {"advanced": _(_ADVANCED)},
            instance,
        ),
        Step(_("On the same page, below the list: tick “Enable WireGuard”, and apply.")),
        Step(_("Firewall, Rules, WireGuard (Group): pass everything; the hub has decided what may come.")),
    )


def openvpn(profile: OpenVPNProfile, router: SiteRouter) -> RouterProfile:
    """The steps for OpenVPN through the compatibility listener.

    Raises ValueError for a value that its field cannot hold, and for a profile for another listener.
    """
    if not profile.compat:
        raise ValueError("The compatibility listener is needed.")
    tag, version = tag_of(router), version_of(Platform.OPNSENSE, router.version)
    name = "Descriptive name" if version and version < _NEW_TRUST else "Description"
    authority: Values = (
        ("Method", "Import an existing Certificate Authority"),
        (name, f"{tag}-ca"),
        ("Certificate data", certificate(profile.ca)),
    )
    own: Values = (
        ("Method", "Import an existing Certificate"),
        (name, f"{tag}-client"),
        ("Certificate data", certificate(profile.certificate)),
        ("Private key data", private_key(profile.private_key)),
    )
    verifies = version >= _VERIFIES_REMOTE
    return RouterProfile(
        (),
        (
            Step(
                _(
                    "Only where this site was connected over WireGuard before: delete its instance and its peer under "
                    "VPN, WireGuard, and apply. Two tunnels with the same addresses cut each other off."
                ),
                (("Instance", tag), ("Peer", f"{tag}-hub")),
            ),
            Step(_("System, Trust, Authorities: add one."), authority),
            Step(_("System, Trust, Certificates: add one."), own),
            Step(
                _("VPN, OpenVPN, Instances: add one (%(advanced)s). Leave what is not named here as it is.")
                % {"advanced": _(_ADVANCED)},
                _instance(profile, tag, verifies=verifies),
            ),
            *(() if verifies else (_verify_step(version),)),
            Step(_("Apply on that page.")),
            Step(_("Firewall, Rules, OpenVPN: pass everything; the hub has decided what may come.")),
        ),
    )


def _instance(profile: OpenVPNProfile, tag: str, *, verifies: bool) -> Values:
    host, port, _ = remote_of(profile, "tcp")
    return (
        ("Role", "Client"),
        ("Description", tag),
        ("Protocol", "TCP"),
        ("Remote", f"{f'[{host}]' if ':' in host else host}:{port}"),
        ("Certificate", f"{tag}-client"),
        *((("Verify Remote Certificate", "on"),) if verifies else ()),
        ("Certificate Authority", f"{tag}-ca"),
        ("TLS static key", "None"),
        ("Auth", "SHA1 (160-bit)"),
        ("TUN device MTU", checked_number(profile.mtu, MIN_MTU, MAX_MTU)),
    )


def _verify_step(version: tuple[int, ...]) -> Step:
    """The step for the check of the hub's certificate, which older forms do not have."""
    if version and version < _NEW_TRUST:
        return Step(
            _(
                "This version does not check that the certificate shown is a hub's and not another site's. OPNsense "
                "25.1 does: upgrade when you can."
            )
        )
    return Step(_("Where the form has “Verify Remote Certificate” (OPNsense 25.1 and newer), tick it before you save."))
