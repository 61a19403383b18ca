"""A configuration profile (.mobileconfig) with a WireGuard tunnel for iPhone, iPad and Mac, which connects on demand.

As the WireGuard app documents it (MOBILECONFIG.md of wireguard-apple): the system keeps the tunnel, the app runs it.
The one rule connects on every network, which the app shows as "On demand"; its switch for the tunnel ends that.
"""

from __future__ import annotations

import plistlib
import uuid
from typing import Final

from vpn.models import Peer
from vpn.profiles.router import ProfileFile

CONTENT_TYPE: Final = "application/x-apple-aspen-config"
# For each system: its format in `GET /client?format=`, the end of its file's name, and the app that runs the tunnel.
_APPS: Final = {
    "ios": ("apple-ios", "ios", "com.wireguard.ios"),
    "macos": ("apple-macos", "mac", "com.wireguard.macos"),
}


def configuration_profiles(peer: Peer, filename: str, content: str) -> dict[str, ProfileFile]:
    """The file of each of Apple's systems, made of the peer's plain profile; none over OpenVPN, or for a router.

    A profile with the place of a key that a browser made has that place in these files too.
    """
    if peer.is_site or peer.is_openvpn:
        return {}
    stem = filename.rpartition(".")[0]
    return {
        system: ProfileFile(
            f"{stem}-{ending}.mobileconfig", _plist(peer, stem, content, app), CONTENT_TYPE, "", kind=kind
        )
        for system, (kind, ending, app) in _APPS.items()
    }


def _plist(peer: Peer, tunnel: str, configuration: str, app: str) -> str:
    # The same for every profile of the peer: a newer one takes the place of the older one.
    identifier = f"vpn-portal.{peer.pk}"
    instance = peer.instance
    payload = {
        "PayloadDisplayName": "VPN",
        "PayloadType": "com.apple.vpn.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.tunnel",
        "PayloadUUID": _uuid(),
        "UserDefinedName": tunnel,
        "VPNType": "VPN",
        "VPNSubType": app,
        "VendorConfig": {"WgQuickConfig": configuration},
        "VPN": {
            "RemoteAddress": _endpoint(configuration),
            "AuthenticationMethod": "Password",
            "OnDemandEnabled": 1,
            "OnDemandRules": [{"Action": "Connect"}],
        },
    }
    profile = {
        "PayloadDisplayName": _printable(f"{instance.name}: {peer.device or tunnel}"),
        "PayloadOrganization": _printable(instance.organization.name),
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": _uuid(),
        "PayloadContent": [payload],
    }
    return plistlib.dumps(profile, sort_keys=False).decode()


def _uuid() -> str:
    return str(uuid.uuid4()).upper()


def _endpoint(configuration: str) -> str:
    """The hub, as the plain profile names it."""
    found = (line.removeprefix("Endpoint = ") for line in configuration.splitlines() if line.startswith("Endpoint = "))
    return next(found)


def _printable(text: str) -> str:
    """Without control characters, which XML cannot hold."""
    return "".join(sign for sign in text if sign.isprintable())
