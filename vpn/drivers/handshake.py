"""Proves that a hub carries traffic: a WireGuard client in pure Python, for one handshake, one ping, one name.

It speaks Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as the initiator (WireGuard whitepaper, section 5.4), derives the
transport keys, and sends an ICMP echo request through the tunnel to the hub's own address. Only a decrypted echo
reply counts as proof. A hub that is a resolver is asked for a name, too, and has to answer what is expected.

It needs no interface and no privilege, only a UDP socket, so it can be started in any network namespace:
`python -m vpn.drivers.handshake` reads the arguments of `prove` as one JSON object on standard input and prints
{"ok": true, "seconds": 0.02} or {"ok": false, "code": "...", "reason": "..."}. It imports no Django.
"""

import hashlib
import hmac
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from vpn.drivers.name_query import NameQuery
from vpn.drivers.packets import Way
from vpn.drivers.ping import Echo
from vpn.keys import decode_key, is_contributory

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1 = b"mac1----"

INITIATION, RESPONSE, COOKIE_REPLY, TRANSPORT = 1, 2, 3, 4
RESPONSE_LENGTH = 92
LARGEST_DATAGRAM = 65535

# Seconds. The first packets to a hub that has just started are often lost, hence the short first pauses; the later
# ones leave room for slow links, as each new initiation makes the hub forget the one before.
PAUSES = (0.3, 0.6, 1.2, 2.0)
PROBE_PAUSE = 0.3
SESSION_PATIENCE = 2.0

TAI64_EPOCH = 0x400000000000000A


class HandshakeFailed(Exception):
    """The hub could not be proven. `reason` is for an admin; `code` is one of invalid, unresolved, closed, silent,
    busy, rejected, no-echo, no-name."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
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
    """Return once an echo request from `source_address` to `hub_address` was answered through the tunnel, and then a
    question for `name`, where there is one, with one of `name_addresses`.

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
        raise HandshakeFailed("invalid", str(error)) from None
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
    """One connected UDP socket for each address of `host` that this machine has a route to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, OverflowError, UnicodeError):
        raise HandshakeFailed("unresolved", f"The name {host} does not resolve to an address yet.") from None
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
        raise HandshakeFailed("unresolved", f"There is no route to {host} from here.")
    return sockets


class Probe(Protocol):
    """What is sent through the tunnel, and how its answer is recognised."""

    code: str

    def request(self) -> bytes:
        """What is sent next, as an IP packet."""

    def is_reply(self, packet: bytes) -> bool:
        """Whether an IP packet is the answer that is waited for."""

    def failure(self, hub: str) -> str:
        """What an admin is told when it did not come."""


class Attempt:
    """One proof: sends initiations, and one probe after the other until each is answered or the time is over."""

    def __init__(self, identity: "Identity", probes: list[Probe], sockets: list[socket.socket]) -> None:
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
        """Whether all probes are."""
        return not self._probes

    def run(self, selector: selectors.BaseSelector, deadline: float) -> None:
        """Work until the answer or the deadline (monotonic seconds)."""
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
            # "Connection refused" is an ICMP answer to an earlier packet. The hub may be starting: go on trying.
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
        # No new handshake while this session may still bring the reply.
        self._next_initiation = time.monotonic() + SESSION_PATIENCE

    def failure(self, hub: str) -> HandshakeFailed:
        """What the admin is told, from what was seen."""
        if self._session is not None:
            return HandshakeFailed(self._probes[0].code, self._probes[0].failure(hub))
        if self.rejected:
            return HandshakeFailed("rejected", f"The hub at {hub} answered with another preshared key. Apply it again.")
        if self.refused:
            return HandshakeFailed("closed", f"Nothing listens at {hub} (UDP). Is WireGuard running on the server?")
        if self.busy:
            return HandshakeFailed("busy", f"The hub at {hub} is under load and puts handshakes off. Try again.")
        return HandshakeFailed(
            "silent",
            f"The hub at {hub} (UDP) did not answer. A firewall on the way may drop the packets, "
            "or the hub does not have these keys yet.",
        )


@dataclass(frozen=True)
class Identity:
    """The keys of both sides."""

    hub: X25519PublicKey
    own: X25519PrivateKey
    preshared: bytes

    @classmethod
    def read(cls, hub_public_key: str, private_key: str, preshared_key: str | None) -> "Identity":
        """From base64. Raises ValueError, which never quotes a key."""
        hub = decode_key(hub_public_key)
        if not is_contributory(hub):
            raise ValueError("The hub's public key is not a usable one.")
        return cls(
            X25519PublicKey.from_public_bytes(hub),
            X25519PrivateKey.from_private_bytes(decode_key(private_key)),
            bytes(32) if preshared_key is None else decode_key(preshared_key),
        )


class Initiation:
    """The first message of a handshake, and the state that its answer needs. Names as in the whitepaper: the
    chaining key C, the hash H, the ephemeral key E."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.index = int.from_bytes(os.urandom(4), "little")
        hub = identity.hub.public_bytes_raw()
        self._ephemeral = X25519PrivateKey.generate()
        ephemeral = self._ephemeral.public_key().public_bytes_raw()

        chaining = _hash(CONSTRUCTION)
        transcript = _hash(_hash(chaining + IDENTIFIER) + hub)
        (chaining,) = _derive(chaining, ephemeral, 1)
        transcript = _hash(transcript + ephemeral)
        chaining, key = _derive(chaining, self._ephemeral.exchange(identity.hub), 2)
        static = _seal(key, 0, identity.own.public_key().public_bytes_raw(), transcript)
        transcript = _hash(transcript + static)
        chaining, key = _derive(chaining, identity.own.exchange(identity.hub), 2)
        timestamp = _seal(key, 0, _tai64n(), transcript)
        self._chaining = chaining
        self._transcript = _hash(transcript + timestamp)

        body = struct.pack("<BxxxI", INITIATION, self.index) + ephemeral + static + timestamp
        self.message = body + _mac(_hash(LABEL_MAC1 + hub), body) + bytes(16)

    def complete(self, response: bytes) -> "Session":
        """The session that the hub's response makes. Raises InvalidTag for a forged one or another preshared key."""
        hub_index = int.from_bytes(response[4:8], "little")
        hub_ephemeral_raw, empty = response[12:44], response[44:60]
        hub_ephemeral = X25519PublicKey.from_public_bytes(hub_ephemeral_raw)
        (chaining,) = _derive(self._chaining, hub_ephemeral_raw, 1)
        transcript = _hash(self._transcript + hub_ephemeral_raw)
        (chaining,) = _derive(chaining, self._ephemeral.exchange(hub_ephemeral), 1)
        (chaining,) = _derive(chaining, self._identity.own.exchange(hub_ephemeral), 1)
        chaining, temporary, key = _derive(chaining, self._identity.preshared, 3)
        transcript = _hash(transcript + temporary)
        ChaCha20Poly1305(key).decrypt(_nonce(0), empty, transcript)
        sending, receiving = _derive(chaining, b"", 2)
        return Session(self.index, hub_index, sending, receiving)


class Session:
    """The transport keys after a handshake: packets in, datagrams out, and back."""

    def __init__(self, own_index: int, hub_index: int, sending: bytes, receiving: bytes) -> None:
        self._own_index = own_index
        self._hub_index = hub_index
        self._sending = sending
        self._receiving = ChaCha20Poly1305(receiving)
        self._counter = 0

    def encrypt(self, packet: bytes) -> bytes:
        """One IP packet as a transport message."""
        padded = packet + bytes(-len(packet) % 16)
        header = struct.pack("<BxxxIQ", TRANSPORT, self._hub_index, self._counter)
        sealed = _seal(self._sending, self._counter, padded, b"")
        self._counter += 1
        return header + sealed

    def decrypt(self, message: bytes) -> bytes:
        """The packet in a transport message; empty for a keepalive, another session's message, or a forged one."""
        _, index, counter = struct.unpack("<BxxxIQ", message[:16])
        if index != self._own_index:
            return b""
        try:
            return self._receiving.decrypt(_nonce(counter), message[16:], b"")
        except InvalidTag:
            return b""


def _hash(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def _mac(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def _derive(key: bytes, data: bytes, count: int) -> list[bytes]:
    """KDFn of the whitepaper: HKDF with HMAC-BLAKE2s."""
    secret = hmac.digest(key, data, hashlib.blake2s)
    keys: list[bytes] = []
    for number in range(1, count + 1):
        previous = keys[-1] if keys else b""
        keys.append(hmac.digest(secret, previous + bytes((number,)), hashlib.blake2s))
    return keys


def _seal(key: bytes, counter: int, text: bytes, associated: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(_nonce(counter), text, associated)


def _nonce(counter: int) -> bytes:
    return struct.pack("<4xQ", counter)


def _tai64n() -> bytes:
    """Now, as TAI64N. The hub refuses an initiation that is not newer than the last one of the same key."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return struct.pack(">QI", TAI64_EPOCH + seconds, nanoseconds)


def main() -> int:
    """Read the arguments as JSON from standard input, print the result as JSON; 0 where the hub is proven."""
    started = time.monotonic()
    try:
        prove(**json.load(sys.stdin))
    except HandshakeFailed as failure:
        print(json.dumps({"ok": False, "code": failure.code, "reason": failure.reason}))
        return 1
    except (TypeError, ValueError):
        print(json.dumps({"ok": False, "code": "invalid", "reason": "The request is not the JSON that was expected."}))
        return 1
    print(json.dumps({"ok": True, "seconds": round(time.monotonic() - started, 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
