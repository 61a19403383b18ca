"""IP packets as bytes (RFC 791, RFC 8200)."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

_HOPS = 64


@dataclass(frozen=True)
class Way:
    """Source and destination address, both of one family."""

    source: IPv4Address | IPv6Address
    target: IPv4Address | IPv6Address

    def __post_init__(self) -> None:
        if self.source.version != self.target.version:
            raise ValueError("Both tunnel addresses must be of one family.")

    @property
    def is_v4(self) -> bool:
        """True for IPv4."""
        return self.source.version == 4

    def packet(self, protocol: int, payload: bytes) -> bytes:
        """Return a packet without options or extension headers."""
        addresses = self.source.packed + self.target.packed
        if not self.is_v4:
            return struct.pack(">IHBB", 0x60000000, len(payload), protocol, _HOPS) + addresses + payload
        header = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0, _HOPS, protocol)
        return header + checksum(header + bytes(2) + addresses) + addresses + payload

    def pseudo_header(self, protocol: int, length: int) -> bytes:
        """Return the pseudo-header that the checksum of a payload includes."""
        addresses = self.source.packed + self.target.packed
        return addresses + struct.pack(
            ">HH" if self.is_v4 else ">II", *((protocol, length) if self.is_v4 else (length, protocol))
        )

    def answer(self, protocol: int, packet: bytes) -> bytes:
        """Return the payload of a packet in the reverse direction; empty for any other packet."""
        back = self.target.packed + self.source.packed
        if self.is_v4:
            good = packet[:1] == b"\x45" and packet[9:10] == bytes((protocol,)) and packet[12:20] == back
            return packet[20 : int.from_bytes(packet[2:4])] if good else b""
        good = packet[:1] == b"\x60" and packet[6:7] == bytes((protocol,)) and packet[8:40] == back
        return packet[40 : 40 + int.from_bytes(packet[4:6])] if good else b""


def checksum(data: bytes) -> bytes:
    """Return the internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", total ^ 0xFFFF)
