"""Proves that a hub carries traffic: a WireGuard client in pure Python for one handshake, one ping, one DNS query.

It makes a handshake and sends an ICMP echo request through the tunnel to the hub's own address. Only a decrypted echo
reply counts as proof. If the hub has a resolver, it must also answer a DNS query as expected.

It needs no interface and no privilege, only a UDP socket, so it can be started in any network namespace:
`python -m vpn.drivers.proof.handshake` reads the arguments of `prove` as one JSON object on standard input and prints
{"ok": true, "seconds": 0.02} or {"ok": false, "code": "...", "reason": {"code": "...", ...}}. It imports no Django.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

from cryptography.exceptions import InvalidTag

from vpn.drivers.proof.name_query import NameQuery
from vpn.drivers.proof.noise import COOKIE_REPLY, RESPONSE, RESPONSE_LENGTH, TRANSPORT, Identity, Initiation, Session
from vpn.drivers.proof.packets import Way
from vpn.drivers.proof.ping import Echo
from vpn.drivers.proof.reason import Reason, reason

LARGEST_DATAGRAM = 65535

# Seconds. The first packets to a new hub are often lost, so the first pauses are short. Later pauses allow for slow
# links, because each new initiation makes the hub discard the one before.
PAUSES = (0.3, 0.6, 1.2, 2.0)
PROBE_PAUSE = 0.3
SESSION_PATIENCE = 2.0


class HandshakeFailed(Exception):
    """The proof failed. `reason` is for an admin: a code and its values, whose words are in `vpn.told`.

    `code` is one of invalid, unresolved, closed, silent, busy, rejected, no-echo, no-name.
    """

    def __init__(self, code: str, reason: Reason) -> None:
        super().__init__(reason["code"])
        self.code = code
        self.reason = reason


def prove(
    endpoint_host: str,
    endpoint_port: int,
    hub_public_key: str,
    private_key: str,
    preshared_key: str | None,
    source_address: str,
    hub_address: str,
    timeout: float = 5.0,
    name: str = "",
    name_addresses: Sequence[str] = (),
) -> None:
    """Return once the hub has answered an echo request from `source_address` to `hub_address` through the tunnel.

    If `name` is given, it must then also answer a DNS query for it with one of `name_addresses`.

    Keys are base64. Both addresses are tunnel addresses of one family, without a prefix; the hub must have a peer
    with this key and source address. Raises HandshakeFailed after `timeout` seconds.
    """
    try:
        identity = Identity.read(hub_public_key, private_key, preshared_key)
        way = Way(ip_address(source_address), ip_address(hub_address))
        probes: list[Probe] = [Echo(way)]
        if name:
            probes.append(NameQuery(way, name, name_addresses))
    except ValueError as error:
        raise HandshakeFailed("invalid", reason("invalid", why=str(error))) from None
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        attempt = Attempt(identity, probes, _open_sockets(endpoint_host, endpoint_port))
        try:
            for udp in attempt.sockets:
                selector.register(udp, selectors.EVENT_READ, udp)
            attempt.run(selector, deadline)
        finally:
            for udp in attempt.sockets:
                udp.close()
    if not attempt.answered:
        raise attempt.failure(f"{endpoint_host} port {endpoint_port}")


def _open_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a connected UDP socket for each address of `host` that this machine has a route to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, OverflowError, UnicodeError):
        raise HandshakeFailed("unresolved", reason("unresolved", host=host)) from None
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in found:
        udp = socket.socket(family, kind, protocol)
        try:
            udp.setblocking(False)
            udp.connect(address)
        except OSError:
            udp.close()
        else:
            sockets.append(udp)
    if not sockets:
        raise HandshakeFailed("unresolved", reason("no-route", host=host))
    return sockets


class Probe(Protocol):
    """A request through the tunnel, and the check of its answer."""

    code: str

    def request(self) -> bytes:
        """Return the next request as an IP packet."""

    def is_reply(self, packet: bytes) -> bool:
        """Return True if an IP packet is the expected answer."""

    def failure(self, hub: str) -> Reason:
        """Return the reason for an admin if no answer came."""


class Attempt:
    """One proof: sends initiations, then each probe until it is answered or the time is over."""

    def __init__(self, identity: Identity, probes: list[Probe], sockets: list[socket.socket]) -> None:
        self.identity = identity
        self.sockets = sockets
        self._probes = probes
        self.refused = False
        self.rejected = False
        self.busy = False
        self._pending: dict[int, Initiation] = {}
        self._session: Session | None = None
        self._session_socket: socket.socket | None = None
        self._initiations = 0
        self._next_initiation = 0.0
        self._next_probe = 0.0

    @property
    def answered(self) -> bool:
        """True if all probes are answered."""
        return not self._probes

    def run(self, selector: selectors.BaseSelector, deadline: float) -> None:
        """Run until the last answer or the deadline (monotonic seconds)."""
        while not self.answered and (now := time.monotonic()) < deadline:
            if now >= self._next_initiation:
                self._initiate(now)
            if self._session is not None and now >= self._next_probe:
                self._send_probe(now)
            wake = min(deadline, self._next_initiation)
            if self._session is not None:
                wake = min(wake, self._next_probe)
            for key, _ in selector.select(max(0.0, wake - time.monotonic())):
                self._receive(key.data)

    def _initiate(self, now: float) -> None:
        for udp in self.sockets:
            initiation = Initiation(self.identity)
            self._pending[initiation.index] = initiation
            self._send(udp, initiation.message)
        self._next_initiation = now + PAUSES[min(self._initiations, len(PAUSES) - 1)]
        self._initiations += 1

    def _send_probe(self, now: float) -> None:
        if self._session is not None and self._session_socket is not None:
            self._send(self._session_socket, self._session.encrypt(self._probes[0].request()))
        self._next_probe = now + PROBE_PAUSE

    def _send(self, udp: socket.socket, message: bytes) -> None:
        try:
            udp.send(message)
        except OSError as error:
            # "Connection refused" is an ICMP error for an earlier packet. The hub may be starting: keep trying.
            self.refused |= isinstance(error, ConnectionRefusedError)

    def _receive(self, udp: socket.socket) -> None:
        try:
            message = udp.recv(LARGEST_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            self.refused |= isinstance(error, ConnectionRefusedError)
            return
        kind = message[0] if len(message) >= 16 else 0
        if kind == RESPONSE and len(message) == RESPONSE_LENGTH:
            self._take_response(udp, message)
        elif kind == TRANSPORT and self._session is not None:
            self._take_packet(self._session.decrypt(message))
        elif kind == COOKIE_REPLY:
            self.busy = True

    def _take_packet(self, packet: bytes) -> None:
        if self._probes and self._probes[0].is_reply(packet):
            del self._probes[0]
            self._next_probe = 0.0

    def _take_response(self, udp: socket.socket, message: bytes) -> None:
        initiation = self._pending.pop(int.from_bytes(message[8:12], "little"), None)
        if initiation is None:
            return
        try:
            self._session = initiation.complete(message)
        except (InvalidTag, ValueError):
            self.rejected = True
            return
        self._session_socket = udp
        self._next_probe = 0.0
        # No new handshake while the reply may still come through this session.
        self._next_initiation = time.monotonic() + SESSION_PATIENCE

    def failure(self, hub: str) -> HandshakeFailed:
        """Return the failure with a reason for an admin, from the packets that came back."""
        if self._session is not None:
            return HandshakeFailed(self._probes[0].code, self._probes[0].failure(hub))
        if self.rejected:
            code = "rejected"
        elif self.refused:
            code = "closed"
        else:
            code = "busy" if self.busy else "silent"
        return HandshakeFailed(code, reason(code, hub=hub))


def main() -> int:
    """Read the arguments as JSON from standard input, print the result as JSON; return 0 on success."""
    started = time.monotonic()
    try:
        prove(**json.load(sys.stdin))
    except HandshakeFailed as failure:
        print(json.dumps({"ok": False, "code": failure.code, "reason": failure.reason}))
        return 1
    except (TypeError, ValueError):
        print(json.dumps({"ok": False, "code": "invalid", "reason": reason("invalid", why="not valid JSON")}))
        return 1
    print(json.dumps({"ok": True, "seconds": round(time.monotonic() - started, 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
