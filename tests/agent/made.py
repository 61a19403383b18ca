"""Sample specs for tests."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

from vpn.wire.digests import digest
from vpn.wire.documents import DeltaDocument, OpenVPNDocument, OpenVPNPeerDocument, SpecDocument, WireGuardPeerDocument

HUB = "kx3j9x0aq2"


def key(seed: str) -> str:
    """Return a key that is derived from a seed."""
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


def peer_id(number: int) -> str:
    return str(uuid.UUID(int=number))


def peer(number: int, *subnets: str) -> WireGuardPeerDocument:
    return {
        "public_key": key(f"public {number}"),
        "preshared_key": key(f"preshared {number}"),
        "allowed_ips": [
            f"100.64.{number // 250}.{number % 250 + 2}/32",
            f"fd12:3456:789a::{number + 2:x}/128",
            *subnets,
        ],
        "routes": list(subnets),
    }


def spec(*numbers: int, generation: int = 1, **changes: Any) -> SpecDocument:
    document: SpecDocument = {
        "schema": 1,
        "hub": HUB,
        "epoch": 1,
        "generation": generation,
        "addresses": ["100.64.0.1/20", "fd12:3456:789a::1/64"],
        "wireguard": {"port": 20000, "private_key": key("private"), "mtu": 1420},
        "peers": {peer_id(number): peer(number) for number in numbers},
        "forwarding": "allow",
    }
    document.update(changes)  # type: ignore[typeddict-item]
    return document


def delta(before: SpecDocument, after: SpecDocument) -> DeltaDocument:
    """Return the delta from one spec to another."""
    document: DeltaDocument = {
        "schema": 1,
        "hub": after["hub"],
        "epoch": after["epoch"],
        "generation": after["generation"],
        "base": {"generation": before["generation"], "digest": digest(before)},
        "digest": digest(after),
        "upsert": {key: peer for key, peer in after["peers"].items() if before["peers"].get(key) != peer},
        "remove": [key for key in before["peers"] if key not in after["peers"]],
    }
    ours, theirs = after.get("openvpn"), before.get("openvpn")
    if ours is not None and theirs is not None and ours["crl"] != theirs["crl"]:
        document["crl"] = ours["crl"]
    if after.get("rules", []) != before.get("rules", []):
        document["rules"] = after.get("rules", [])
    if after["forwarding"] != before["forwarding"]:
        document["forwarding"] = after["forwarding"]
    return document


def pem(label: str) -> str:
    """Return text in PEM format with dummy content."""
    return f"-----BEGIN {label}-----\nQUJD\nREVG\n-----END {label}-----\n"


def openvpn(**changes: Any) -> OpenVPNDocument:
    document: OpenVPNDocument = {
        "ca": pem("CERTIFICATE"),
        "certificate": pem("CERTIFICATE"),
        "private_key": pem("PRIVATE KEY"),
        "crl": pem("X509 CRL"),
        "tls_crypt_v2": pem("OpenVPN tls-crypt-v2 server key"),
        "udp_port": 20001,
        "tcp_port": 20001,
        "compat_port": None,
    }
    document.update(changes)  # type: ignore[typeddict-item]
    return document


def openvpn_peer(number: int, *subnets: str, route_all: bool = False, compat: bool = False) -> OpenVPNPeerDocument:
    return {
        "protocol": "openvpn",
        "common_name": peer_id(number),
        "addresses": [f"100.64.{number // 250}.{number % 250 + 2}/32", f"fd12:3456:789a::{number + 2:x}/128"],
        "routes": list(subnets),
        "route_all": route_all,
        "compat": compat,
    }
