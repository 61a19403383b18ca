"""Client of wireguard-go's socket. It starts no program, so it is cheap enough for many calls a minute.

The protocol is WireGuard's cross-platform userspace API (https://www.wireguard.com/xplatform/).
"""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIRECTORY: Final = Path("/var/run/wireguard")
_TIMEOUT: Final = 5.0  # seconds


@dataclass(frozen=True)
class UapiPeer:
    """A peer with an endpoint: its last handshake (Unix time), and whether persistent keepalive is on."""

    endpoint: str
    latest_handshake: int
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
            with connection.makefile("rb") as stream:
                return _parse(iter(stream.readline, b"\n"))
    except OSError:
        return None


def _connect(interface: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_TIMEOUT)
        connection.connect(str(socket_path(interface)))
    except BaseException:
        connection.close()
        raise
    return connection


def _parse(lines: Iterable[bytes]) -> dict[str, UapiPeer]:
    peers: dict[str, UapiPeer] = {}
    values: dict[bytes, bytes] = {}
    for line in lines:
        if not line:
            break
        name, _, value = line.strip().partition(b"=")
        if name == b"public_key":
            _keep(peers, values)
            values = {}
        values[name] = value
    _keep(peers, values)
    return peers


def _keep(peers: dict[str, UapiPeer], values: dict[bytes, bytes]) -> None:
    if b"public_key" not in values or b"endpoint" not in values:
        return
    key = base64.b64encode(bytes.fromhex(values[b"public_key"].decode())).decode()
    peers[key] = UapiPeer(
        values[b"endpoint"].decode(),
        int(values.get(b"last_handshake_time_sec", b"0")),
        values.get(b"persistent_keepalive_interval", b"0") != b"0",
    )
