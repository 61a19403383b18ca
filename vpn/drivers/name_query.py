"""A question to a resolver for the addresses of a name, as a packet for whoever carries it (RFC 1035, RFC 768)."""

import os
import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from vpn.drivers.packets import Way, checksum

UDP, PORT = 17, 53
A, AAAA = 1, 28
INTERNET = 1
RECURSIVELY = 0x0100
STATUS = {0: "nothing", 2: "that it could not ask", 3: "that there is no such name", 5: "that it refuses"}


class NameQuery:
    """Questions for the addresses of a name, and how an answer with one of those expected is recognised.

    It asks for IPv4 addresses where one is expected. Raises ValueError for a name or an address that is none.
    """

    code = "no-name"

    def __init__(self, way: Way, name: str, expected: Sequence[str]) -> None:
        self._way = way
        self._name = name
        found = [ip_address(address) for address in expected]
        self._type = A if any(address.version == 4 for address in found) else AAAA
        self._expected = {address for address in found if address.version == (4 if self._type == A else 6)}
        self._port = struct.pack(">H", 49152 + int.from_bytes(os.urandom(2)) % 16384)
        self._identifier = os.urandom(2)
        self._question = _labels(name) + struct.pack(">HH", self._type, INTERNET)
        self._said = ""

    def request(self) -> bytes:
        """The question, as an IP packet."""
        query = self._identifier + struct.pack(">HHHHH", RECURSIVELY, 1, 0, 0, 0) + self._question
        header = self._port + struct.pack(">HH", PORT, 8 + len(query))
        above = self._way.pseudo_header(UDP, 8 + len(query))
        # A sum of zero is sent as its complement: zero would say that there is none.
        total = checksum(above + header + bytes(2) + query).replace(b"\0\0", b"\xff\xff")
        return self._way.packet(UDP, header + total + query)

    def is_reply(self, packet: bytes) -> bool:
        """Whether an IP packet answers the question with an address that is expected."""
        reply = self._way.answer(UDP, packet)
        message = reply[8:]
        if reply[:4] != struct.pack(">H", PORT) + self._port or message[:2] != self._identifier or len(message) < 12:
            return False
        try:
            addresses = set(self._addresses(message))
        except (IndexError, struct.error, ValueError):
            self._said = "something that is no answer"
            return False
        status = message[3] & 15
        told = ", ".join(sorted(map(str, addresses))[:4])
        self._said = told or STATUS.get(status, f"error {status}")
        return status == 0 and bool(addresses & self._expected)

    def failure(self, hub: str) -> str:
        """What an admin is told when no good answer came."""
        if not self._said:
            return (
                f"The hub at {hub} carries packets, but its resolver did not answer for {self._name}. "
                "Is dnsmasq running on the server?"
            )
        return (
            f"The hub at {hub} carries packets, but its resolver answered {self._said} for {self._name}, "
            f"not {', '.join(sorted(map(str, self._expected)))}. Apply it again."
        )

    def _addresses(self, message: bytes) -> Iterator[IPv4Address | IPv6Address]:
        """The addresses in a message's answers."""
        if message[12 : 12 + len(self._question)].lower() != self._question:
            return
        at = 12 + len(self._question)
        for _ in range(int.from_bytes(message[6:8])):
            at = _after_name(message, at)
            kind, _, _, length = struct.unpack(">HHIH", message[at : at + 10])
            data = message[at + 10 : at + 10 + length]
            if kind == self._type:
                yield ip_address(data)
            at += 10 + length


def _labels(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.lower().split(".")]
    if not all(0 < len(label) < 64 for label in labels) or len(name) > 253:
        raise ValueError("The name to ask for is none.")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _after_name(message: bytes, at: int) -> int:
    """Where the name at `at` ends: by an empty label, or by a pointer to the rest of it."""
    while length := message[at]:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1
