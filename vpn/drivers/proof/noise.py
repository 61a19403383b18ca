"""The initiator's side of WireGuard's handshake, and transport messages (WireGuard whitepaper, section 5.4).

Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s: messages as bytes. The caller handles sockets and time.
"""

import hashlib
import hmac
import os
import struct
import time
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from vpn.keys import decode_key, is_contributory

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1 = b"mac1----"

INITIATION, RESPONSE, COOKIE_REPLY, TRANSPORT = 1, 2, 3, 4
RESPONSE_LENGTH = 92

TAI64_EPOCH = 0x400000000000000A


@dataclass(frozen=True)
class Identity:
    """The keys of both sides."""

    hub: X25519PublicKey
    own: X25519PrivateKey
    preshared: bytes

    @classmethod
    def read(cls, hub_public_key: str, private_key: str, preshared_key: str | None) -> "Identity":
        """Return the identity from base64 keys. Raises ValueError, which never quotes a key."""
        hub = decode_key(hub_public_key)
        if not is_contributory(hub):
            raise ValueError("The hub's public key is invalid.")
        return cls(
            X25519PublicKey.from_public_bytes(hub),
            X25519PrivateKey.from_private_bytes(decode_key(private_key)),
            bytes(32) if preshared_key is None else decode_key(preshared_key),
        )


class Initiation:
    """The first message of a handshake, with the state for its answer.

    Names are those of the whitepaper: the chaining key C, the hash H, the ephemeral key E.
    """

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
        """Return the session from the hub's response. Raises InvalidTag for a forged one or another preshared key."""
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
        """Return one IP packet as a transport message."""
        padded = packet + bytes(-len(packet) % 16)
        header = struct.pack("<BxxxIQ", TRANSPORT, self._hub_index, self._counter)
        sealed = _seal(self._sending, self._counter, padded, b"")
        self._counter += 1
        return header + sealed

    def decrypt(self, message: bytes) -> bytes:
        """Return the packet in a transport message; empty for a keepalive, a foreign or a forged message."""
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
    """Return the time as TAI64N. The hub rejects an initiation that is not newer than the last one of the same key."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return struct.pack(">QI", TAI64_EPOCH + seconds, nanoseconds)
