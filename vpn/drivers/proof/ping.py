"""An ICMP echo request, as an IP packet (RFC 792, RFC 4443)."""

import os
import struct

from vpn.drivers.proof.packets import Way, checksum
from vpn.drivers.proof.reason import Reason, reason


class Echo:
    """Echo requests of one sender, and the check of their replies."""

    code = "no-echo"

    def __init__(self, way: Way) -> None:
        self._way = way
        self._protocol = 1 if way.is_v4 else 58
        self._identifier = os.urandom(2)
        self._payload = os.urandom(16)
        self._sequence = 0

    def request(self) -> bytes:
        """Return the next request as an IP packet."""
        self._sequence += 1
        rest = self._identifier + struct.pack(">H", self._sequence) + self._payload
        kind = bytes((8 if self._way.is_v4 else 128, 0))
        # The checksum of ICMPv6 includes the addresses, that of ICMP does not.
        above = b"" if self._way.is_v4 else self._way.pseudo_header(self._protocol, len(rest) + 4)
        return self._way.packet(self._protocol, kind + checksum(above + kind + bytes(2) + rest) + rest)

    def is_reply(self, packet: bytes) -> bool:
        """Return True if an IP packet answers one of the requests: reverse direction, same identifier and payload."""
        reply = self._way.answer(self._protocol, packet)
        kind = b"\x00\x00" if self._way.is_v4 else b"\x81\x00"
        return reply[:2] == kind and reply[4:6] == self._identifier and reply[8:24] == self._payload

    def failure(self, hub: str) -> Reason:
        """Return the reason for an admin if no reply came."""
        return reason("no-echo", hub=hub)
