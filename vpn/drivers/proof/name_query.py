"""A DNS query for the addresses of a name, as an IP packet (RFC 1035, RFC 768)."""

import os
import struct
from collections.abc import Sequence
from ipaddress import ip_address

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from vpn.drivers.proof.packets import Way, checksum
from vpn.drivers.proof.reason import Reason, reason

UDP, PORT = 17, 53
STATUS = {
    dns.rcode.NOERROR: reason("said-nothing"),
    dns.rcode.NXDOMAIN: reason("said-nxdomain"),
}


class NameQuery:
    """DNS queries for the addresses of a name, and the check of the answer.

    It queries IPv4 addresses if one is expected. Raises ValueError for an invalid name or address.
    """

    code = "no-name"

    def __init__(self, way: Way, name: str, expected: Sequence[str]) -> None:
        self._way = way
        self._name = name
        found = [ip_address(address) for address in expected]
        is_v4 = any(address.version == 4 for address in found)
        self._expected = {address for address in found if (address.version == 4) == is_v4}
        self._type = dns.rdatatype.A if is_v4 else dns.rdatatype.AAAA
        try:
            self._query = dns.message.make_query(dns.name.from_text(name), self._type)
        except dns.exception.DNSException:
            raise ValueError("The name to query is invalid.") from None
        self._port = struct.pack(">H", 49152 + int.from_bytes(os.urandom(2)) % 16384)
        self._said: str | Reason = ""

    def request(self) -> bytes:
        """Return the query as an IP packet."""
        query = self._query.to_wire()
        header = self._port + struct.pack(">HH", PORT, 8 + len(query))
        above = self._way.pseudo_header(UDP, 8 + len(query))
        # A checksum of zero is sent as its complement, because zero means no checksum.
        total = checksum(above + header + bytes(2) + query).replace(b"\0\0", b"\xff\xff")
        return self._way.packet(UDP, header + total + query)

    def is_reply(self, packet: bytes) -> bool:
        """Return True if an IP packet answers the query with an expected address."""
        reply = self._way.answer(UDP, packet)
        if reply[:4] != struct.pack(">H", PORT) + self._port or reply[8:10] != self._query.id.to_bytes(2):
            return False
        try:
            message = dns.message.from_wire(reply[8:])
        except dns.exception.DNSException:
            message = None
        if message is None or not self._query.is_response(message):
            self._said = reason("said-invalid")
            return False
        found = (rdata for rrset in message.answer if rrset.rdtype == self._type for rdata in rrset)
        addresses = {ip_address(rdata.address) for rdata in found}
        status = message.rcode()
        listed = ", ".join(sorted(map(str, addresses))[:4])
        self._said = listed or STATUS.get(status, reason("said-error", status=dns.rcode.to_text(status)))
        return status == dns.rcode.NOERROR and bool(addresses & self._expected)

    def failure(self, hub: str) -> Reason:
        """Return the reason for an admin if no expected answer came."""
        if not self._said:
            return reason("no-name", hub=hub, name=self._name)
        expected = ", ".join(sorted(map(str, self._expected)))
        return reason("other-name", hub=hub, name=self._name, said=self._said, expected=expected)
