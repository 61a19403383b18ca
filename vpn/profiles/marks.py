"""What tells one profile's file from others, without its secrets: digests that a browser computes from the file, too.

`static/js/which.js` does the same with a file that somebody drops on the page.
"""

from __future__ import annotations

import hashlib

from vpn.models import Instance, Peer
from vpn.profiles import openvpn
from vpn.profiles.peer import openvpn_profile_of
from vpn.profiles.state import ProfileDigests


def digest_of(text: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def mark_of(peer: Peer) -> str:
    """The digest of the peer's WireGuard public key, or of its certificate for OpenVPN."""
    return digest_of(peer.certificate.strip() if peer.is_openvpn else peer.public_key)


def configured_digest(peer: Peer, digests: ProfileDigests) -> str:
    """The digest of what the peer's plain profile configures, as a file alone tells it: without a router's platform and
    static routes."""
    if peer.is_openvpn:
        return openvpn.configuration_digest(openvpn_profile_of(peer, with_key=False))
    return digests.of_wireguard(peer)


def host_digests(instance: Instance) -> set[str]:
    """The digests of all hosts by which a profile reaches the hub today."""
    addresses = instance.server.addresses if instance.server is not None else ()
    return {digest_of(host) for host in (*addresses, *instance.earlier_addresses, instance.full_hostname)}
