"""What wireguard-go answers: peers with an endpoint are found among many without."""

from __future__ import annotations

import base64

from vpn.agent.wireguard import uapi
from vpn.agent.wireguard.uapi import UapiPeer

_HEAD = b"private_key=" + b"0a" * 32 + b"\nlisten_port=20000\n"
_TAIL = b"errno=0\n\n"


def peer(number: int, *lines: bytes) -> bytes:
    """A peer of the answer, with these lines between its keys and its networks."""
    keys = b"public_key=%064x\npreshared_key=%064x\nprotocol_version=1\n" % (number, number)
    return keys + b"".join(line + b"\n" for line in lines) + b"allowed_ip=10.0.0.%d/32\n" % number


def test_peers_with_an_endpoint_are_read() -> None:
    idle = [b"last_handshake_time_sec=0", b"rx_bytes=0", b"tx_bytes=0", b"persistent_keepalive_interval=0"]
    first = [b"endpoint=192.0.2.1:4000", b"last_handshake_time_sec=17", b"last_handshake_time_nsec=5", b"tx_bytes=8"]
    first += [b"rx_bytes=9", b"persistent_keepalive_interval=25"]
    last = [b"endpoint=[2001:db8::1]:5000", *idle]
    answer = _HEAD + peer(1, *first) + b"".join(peer(number, *idle) for number in range(2, 9)) + peer(9, *last) + _TAIL
    assert uapi._parse(answer) == {
        key_of(1): UapiPeer("192.0.2.1:4000", 17, 9, 8, keepalive=True),
        key_of(9): UapiPeer("[2001:db8::1]:5000", 0, 0, 0, keepalive=False),
    }
    assert uapi._parse(_HEAD + peer(1, *idle) + peer(2, *idle) + _TAIL) == {}
    assert uapi._parse(_HEAD + _TAIL) == {}


def key_of(number: int) -> str:
    """A public key as WireGuard's own tools show it."""
    return base64.b64encode(number.to_bytes(32, "big")).decode()
