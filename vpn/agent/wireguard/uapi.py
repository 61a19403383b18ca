"""Client of wireguard-go's socket. It starts no program, so it is cheap enough for many calls a minute.

The protocol is WireGuard's cross-platform userspace API (https://www.wireguard.com/xplatform/).
"""

from __future__ import annotations

import base64
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIRECTORY: Final = Path("/var/run/wireguard")
_TIMEOUT: Final = 5.0  # seconds
_CHUNK: Final = 1 << 18
_PEER: Final = b"public_key="
_ENDPOINT: Final = b"\nendpoint="
_NUMBERS: Final = (b"last_handshake_time_sec", b"rx_bytes", b"tx_bytes")


@dataclass(frozen=True)
class UapiPeer:
    """A peer with an endpoint: its last handshake (Unix time), its bytes, and whether persistent keepalive is on."""

    endpoint: str
    latest_handshake: int
    received_bytes: int
    sent_bytes: int
    keepalive: bool


def socket_path(interface: str) -> Path:
    """Return the path of the socket of `interface`."""
    return DIRECTORY / f"{interface}.sock"


def pid_path(interface: str) -> Path:
    """Return the path of the pid file of `interface`, which the agent writes."""
    return DIRECTORY / f"{interface}.pid"


def listen(interface: str, group: int) -> socket.socket:
    """Return a listening socket for the process of `interface`. Only root may connect to it.

    A process of `group` may watch the file, as wireguard-go does, but cannot remove it.
    """
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = socket_path(interface)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        path.chmod(0o640)
        os.chown(path, -1, group)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def is_answering(interface: str) -> bool | None:
    """Return True if the process of `interface` answers; None if there is no socket (a kernel interface)."""
    try:
        _connect(interface).close()
    except FileNotFoundError:
        return None
    except OSError:
        return False
    return True


def peers(interface: str) -> dict[str, UapiPeer] | None:
    """Return by public key the peers of `interface` with a known endpoint; None if wireguard-go does not answer."""
    try:
        with _connect(interface) as connection:
            connection.sendall(b"get=1\n\n")
            return _parse(_receive(connection))
    except OSError:
        return None


def _receive(connection: socket.socket) -> bytes:
    """Return an answer, which ends with an empty line."""
    chunks: list[bytes] = []
    end = b""
    while end != b"\n\n" and (chunk := connection.recv(_CHUNK)):
        chunks.append(chunk)
        end = (end + chunk[-2:])[-2:]
    return b"".join(chunks)


def _connect(interface: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_TIMEOUT)
        connection.connect(str(socket_path(interface)))
    except BaseException:
        connection.close()
        raise
    return connection


def _parse(answer: bytes) -> dict[str, UapiPeer]:
    """Return the peers with an endpoint. The others, often nearly all, are not looked at."""
    peers = {}
    found = answer.find(_ENDPOINT)
    while found >= 0:
        start, end = answer.rfind(_PEER, 0, found) + len(_PEER), answer.find(_PEER, found)
        block = answer[start : end if end >= 0 else len(answer)]
        if endpoint := _value(block, b"endpoint"):
            key = base64.b64encode(bytes.fromhex(block[: block.index(b"\n")].decode())).decode()
            handshake, received, sent = (int(_value(block, name) or b"0") for name in _NUMBERS)
            keepalive = _value(block, b"persistent_keepalive_interval") not in (b"", b"0")
            peers[key] = UapiPeer(endpoint.decode(), handshake, received, sent, keepalive)
        found = answer.find(_ENDPOINT, end) if end >= 0 else -1
    return peers


def _value(block: bytes, name: bytes) -> bytes:
    """Return a peer's value of this name; empty if there is none."""
    return block.partition(b"\n" + name + b"=")[2].partition(b"\n")[0]
