"""A profile's values as JSON, for programs that set up a tunnel themselves."""

from __future__ import annotations

import json
from typing import Any, Final

from vpn.profiles.openvpn import COMPAT_AUTH, COMPAT_CIPHER, DATA_CIPHERS, OpenVPNProfile
from vpn.profiles.wireguard import WireGuardProfile

CONTENT_TYPE: Final = "application/json"


def render(profile: WireGuardProfile | OpenVPNProfile) -> str:
    """The values, with the keys. `private_key` is null if the device made its own."""
    values = _wireguard(profile) if isinstance(profile, WireGuardProfile) else _openvpn(profile)
    return json.dumps(values, indent=2) + "\n"


def _wireguard(profile: WireGuardProfile) -> dict[str, Any]:
    return {
        "protocol": "wireguard",
        "name": profile.name,
        "private_key": profile.private_key,
        "public_key": profile.public_key,
        "addresses": [str(address) for address in profile.addresses],
        "dns": [str(server) for server in profile.dns],
        "search_domains": list(profile.search_domains),
        "mtu": profile.mtu,
        "hub": {
            "public_key": profile.hub_public_key,
            "preshared_key": profile.preshared_key,
            "host": profile.endpoint_host,
            "port": profile.endpoint_port,
            "allowed_ips": [str(network) for network in profile.allowed_ips],
            "persistent_keepalive": profile.keepalive,
        },
    }


def _openvpn(profile: OpenVPNProfile) -> dict[str, Any]:
    return {
        "protocol": "openvpn",
        "name": profile.name,
        "private_key": profile.private_key,
        "certificate": profile.certificate,
        "tls_crypt_v2": profile.tls_crypt_v2,
        "mtu": profile.mtu,
        "route_all": profile.route_all,
        "ciphers": [COMPAT_CIPHER] if profile.compat else DATA_CIPHERS.split(":"),
        "auth": COMPAT_AUTH if profile.compat else None,
        "hub": {
            "authority": profile.ca,
            "name": profile.server_name,
            "remotes": [
                {"host": host, "port": port, "transport": transport} for host, port, transport in profile.remotes
            ],
        },
    }
