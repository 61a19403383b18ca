"""An ICMP echo request, as an IP packet (RFC 792, RFC 4443)."""

import os
import struct

from vpn.drivers.proof.packets import Way, checksum


class Echo:
    """Echo requests of one sender, and how a reply is recognised."""

    code = "no-echo"

    def __init__(self, way: Way) -> None:
        self._way = way
        self._protocol = 1 if way.is_v4 else 58
        self._identifier = os.urandom(2)
        self._payload = os.urandom(16)
        self._sequence = 0

    def request(self) -> bytes:
        """The next request, as an IP packet."""
        self._sequence += 1
        rest = self._identifier + struct.pack(">H", self._sequence) + self._payload
        kind = bytes((8 if self._way.is_v4 else 128, 0))
        # ICMPv6 covers the addresses by its checksum, ICMP does not.
        above = b"" if self._way.is_v4 else self._way.pseudo_header(self._protocol, len(rest) + 4)
        return self._way.packet(self._protocol, kind + checksum(above + kind + bytes(2) + rest) + rest)

    def is_reply(self, packet: bytes) -> bool:
        """Whether an IP packet answers one of the requests: right way round, same identifier and payload."""
        reply = self._way.answer(self._protocol, packet)
        kind = b"\x00\x00" if self._way.is_v4 else b"\x81\x00"
        return reply[:2] == kind and reply[4:6] == self._identifier and reply[8:24] == self._payload

    def failure(self, hub: str) -> str:
        """What an admin is told when no reply came."""
        return (
            f"The hub at {hub} completed the handshake, but no packet came back through the tunnel. "
            "Check the hub's firewall and addresses."
        )
