"""The serial numbers in a certificate revocation list (RFC 5280, section 5.1), parsed without a library.

The list comes from the portal, and openvpn verifies its signature. The agent only needs to know whose sessions to end.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

_SEQUENCE, _INTEGER, _TIMES = 0x30, 0x02, (0x17, 0x18)


def revoked_serials(crl: str) -> set[int]:
    """Return the serial numbers in a list (PEM); none if it cannot be parsed."""
    try:
        der = base64.b64decode("".join(line for line in crl.splitlines() if not line.startswith("-")))
        _, whole = next(_elements(der))
        _, signed = next(_elements(whole))
        listed = _listed(signed)
        return {int.from_bytes(_first(entry)[1], "big", signed=True) for _, entry in _elements(listed)}
    except (ValueError, IndexError, StopIteration):
        return set()


def _listed(signed: bytes) -> bytes:
    """Return the revoked entries, which follow thisUpdate and the optional nextUpdate."""
    after_times = False
    for tag, content in _elements(signed):
        if after_times and tag == _SEQUENCE:
            return content
        after_times = after_times or tag in _TIMES
    return b""


def _first(entry: bytes) -> tuple[int, bytes]:
    tag, content = next(_elements(entry))
    if tag != _INTEGER:
        raise ValueError("an entry begins with a serial number")
    return tag, content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element in `data` (DER, definite lengths)."""
    offset = 0
    while offset < len(data):
        tag, length = data[offset], data[offset + 1]
        offset += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[offset : offset + size], "big")
            offset += size
        if offset + length > len(data):
            raise ValueError("an element is longer than what holds it")
        yield tag, data[offset : offset + length]
        offset += length
