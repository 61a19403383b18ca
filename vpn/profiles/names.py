"""Names of a peer's profile files, and the tag of its settings on a router."""

from __future__ import annotations

import hashlib
import string

from vpn.choices import Protocol
from vpn.models import Peer
from vpn.profiles import openvpn, wireguard

_DIGITS = string.digits + string.ascii_lowercase


def tag_of_peer(peer: Peer) -> str:
    """The tag of everything that the portal's files set up on a site's router."""
    return f"vpn-{peer.pk.hex[:8]}"


def filename_of(peer: Peer, protocol: str) -> str:
    """The file name of the peer's plain profile over a protocol, unique among all peers."""
    if protocol == Protocol.OPENVPN:
        return openvpn.filename(f"{peer.instance.hostname} {peer.relative_name}", _distinction_of(peer))
    return wireguard.filename(peer.instance.hostname, _distinction_of(peer))


def wg_quick_filename(peer: Peer) -> str:
    """The file name of a device's profile for wg-quick, distinct from that for apps: browsers rename equal ones."""
    return wireguard.filename(peer.instance.hostname, f"{_distinction_of(peer)}q")


def _distinction_of(peer: Peer) -> str:
    """A suffix that is unique to the peer: 3 to 6 of a-z and 0-9, the same for as long as the peer exists.

    It starts with the host number, which one peer of the instance has at a time. Two more characters, from a hash of
    the peer's id, tell it from a later peer with that number, and from one of another hub.
    """
    number, digits = peer.host, ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    hashed = hashlib.sha256(peer.pk.bytes).digest()
    return digits + _DIGITS[hashed[0] % len(_DIGITS)] + _DIGITS[hashed[1] % len(_DIGITS)]
