"""Client of openvpn's management interface, over a Unix socket (OpenVPN's management-notes.txt).

openvpn serves one client at a time, so each call is short and waits up to `_TIMEOUT` for its turn. A compromised
process must not block the agent, nor redirect it to another process's socket.
"""

from __future__ import annotations

import contextlib
import re
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedRWPair
from pathlib import Path
from typing import Final

from vpn.wire.parsing import UUID

_TIMEOUT: Final = 3.0  # seconds
_LONGEST: Final = 20.0  # seconds for one conversation
_LONGEST_LINE: Final = 64 * 1024  # bytes
# Endpoints as mroute_addr_print_ex() of openvpn writes them: IPv4 with its port, IPv6 without. A prefix may name the
# transport.
_V4: Final = re.compile(r"(?:[a-z0-9-]+:)?((?:[0-9]{1,3}\.){3}[0-9]{1,3}:[0-9]{1,5})")
_V6: Final = re.compile(r"(?:(?:udp|tcp)[0-9a-z-]*:)?\[?([0-9a-f:]{2,45})\]?")


@dataclass(frozen=True)
class Session:
    """A connected client: its common name, endpoint, start (Unix time) and byte counters.

    `endpoint` is an address with a port, or an IPv6 address in brackets without a port.
    """

    common_name: str
    client_id: int
    endpoint: str | None
    connected_since: int
    received_bytes: int
    sent_bytes: int


class NoAnswer(OSError):
    """The management socket does not answer."""


def sessions(path: Path) -> list[Session]:
    """Return the connected clients. Raises NoAnswer."""
    with _connection(path) as stream:
        _say(stream, "status 3")
        return list(_parse(_until_end(stream)))


def end(path: Path, common_names: Iterable[str]) -> int:
    """End the sessions of clients at once and return their number. Raises NoAnswer.

    A client that misses the message notices by its ping timeout, and is rejected when it reconnects.
    """
    with _connection(path) as stream:
        ended = 0
        for common_name in common_names:
            _say(stream, f"kill {common_name}")
            ended += _answer(stream).startswith("SUCCESS:")
        return ended


def restart(path: Path, common_names: Iterable[str]) -> int:
    """Tell clients to reconnect, which takes a second or two, and return their number. Raises NoAnswer."""
    wanted = set(common_names)
    with _connection(path) as stream:
        _say(stream, "status 3")
        there = [session for session in _parse(_until_end(stream)) if session.common_name in wanted]
        for session in there:
            _say(stream, f"client-kill {session.client_id}")
            _answer(stream)
        return len(there)


def mute(path: Path) -> None:
    """Log only fatal errors from now on. Raises NoAnswer."""
    with _connection(path) as stream:
        _say(stream, "verb 0")
        _answer(stream)


@contextlib.contextmanager
def _connection(path: Path) -> Iterator[BufferedRWPair]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise NoAnswer("the management socket is not a socket")
            connection.connect(str(path))
            with connection.makefile("rwb") as stream:
                yield stream
        except OSError as error:
            raise NoAnswer(str(error)) from error


def _say(stream: BufferedRWPair, command: str) -> None:
    stream.write(command.encode() + b"\n")
    stream.flush()


def _lines(stream: BufferedRWPair) -> Iterator[str]:
    deadline = time.monotonic() + _LONGEST
    while (line := stream.readline(_LONGEST_LINE)) and time.monotonic() < deadline:
        text = line.decode(errors="replace").rstrip("\r\n")
        if not text.startswith(">"):  # lines with ">" are notifications
            yield text
    raise NoAnswer("the management socket was closed")


def _answer(stream: BufferedRWPair) -> str:
    return next(_lines(stream))


def _until_end(stream: BufferedRWPair) -> Iterator[str]:
    for line in _lines(stream):
        if line == "END":
            return
        yield line


def _parse(lines: Iterable[str]) -> Iterator[Session]:
    columns: dict[str, int] = {}
    for line in lines:
        fields = line.split("\t")
        if fields[:2] == ["HEADER", "CLIENT_LIST"]:
            columns = {name: number for number, name in enumerate(fields[1:])}
        elif fields[0] == "CLIENT_LIST" and len(fields) >= len(columns) > 0:
            values = {name: fields[number] for name, number in columns.items()}
            if UUID.fullmatch(values["Common Name"]):  # other names: the certificate is not verified yet
                yield _session(values)


def _session(values: dict[str, str]) -> Session:
    return Session(
        common_name=values["Common Name"],
        client_id=_number(values["Client ID"]),
        endpoint=_endpoint(values["Real Address"]),
        connected_since=_number(values["Connected Since (time_t)"]),
        received_bytes=_number(values["Bytes Received"]),
        sent_bytes=_number(values["Bytes Sent"]),
    )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _endpoint(text: str) -> str | None:
    if found := _V4.fullmatch(text):
        return found[1]
    if found := _V6.fullmatch(text):
        return f"[{found[1]}]"
    return None
