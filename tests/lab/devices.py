"""The peers of a laboratory's hub, with their keys, and the documents by which the hub knows them."""

from __future__ import annotations

import ipaddress
import subprocess
from dataclasses import dataclass
from typing import Final

from vpn import pki
from vpn.wire.documents import OpenVPNPeerDocument, WireGuardPeerDocument

POOL_V4: Final = ipaddress.IPv4Network("100.64.0.0/20")
POOL_V6: Final = ipaddress.IPv6Network("fd12:3456:789a::/64")
EVERYTHING: Final = ("0.0.0.0/0", "::/0")


def wg(*arguments: str, stdin: str = "") -> str:
    """Return what wg(8) says, in the machine's own namespace: for keys."""
    return subprocess.run(["wg", *arguments], input=stdin, capture_output=True, text=True, check=True).stdout.strip()


def make_keys() -> tuple[str, str]:
    """Return a private key and its public key."""
    private_key = wg("genkey")
    return private_key, wg("pubkey", stdin=private_key)


@dataclass
class Device:
    """A peer with both of its keys."""

    peer_id: str
    private_key: str
    public_key: str
    preshared_key: str
    v4: str
    v6: str
    subnets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    expires_at: int | None = None
    former: OpenVPNDevice | None = None
    exit: str = ""

    def document(self) -> WireGuardPeerDocument:
        """Return the peer as the hub knows it."""
        document: WireGuardPeerDocument = {
            "public_key": self.public_key,
            "preshared_key": self.preshared_key,
            "allowed_ips": [f"{self.v4}/32", f"{self.v6}/128", *self.subnets],
            "routes": list(self.subnets),
        }
        add_optional(document, self)
        return document

    def rotate(self) -> None:
        """Take new keys."""
        self.private_key, self.public_key = make_keys()
        self.preshared_key = wg("genpsk")


@dataclass
class OpenVPNDevice:
    """A peer over OpenVPN with its certificate."""

    peer_id: str
    credential: pki.Credential
    v4: str
    v6: str
    subnets: tuple[str, ...] = ()
    route_all: bool = False
    compat: bool = False
    static_routes: bool = False
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    expires_at: int | None = None
    former: Device | None = None
    exit: str = ""

    def document(self) -> OpenVPNPeerDocument:
        """Return the peer as the hub knows it."""
        document: OpenVPNPeerDocument = {
            "protocol": "openvpn",
            "common_name": self.peer_id,
            "addresses": [f"{self.v4}/32", f"{self.v6}/128"],
            "routes": list(self.subnets),
            "route_all": self.route_all,
            "compat": self.compat,
        }
        if self.static_routes:
            document["static_routes"] = True
        add_optional(document, self)
        return document


def add_optional(document: WireGuardPeerDocument | OpenVPNPeerDocument, device: Device | OpenVPNDevice) -> None:
    """Add to a peer's document what a peer may have or not."""
    if device.tags:
        document["tags"] = list(device.tags)
    if device.names:
        document["names"] = list(device.names)
    if device.expires_at is not None:
        document["expires_at"] = device.expires_at
    if device.former is not None:
        document["former"] = device.former.document()
    if device.exit:
        document["exit"] = device.exit
