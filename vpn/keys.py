"""Keys: WireGuard's in base64 as wg(8) writes them, and OpenSSH's for servers. Needs no Django."""

import base64
import binascii
import hashlib
import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

KEY_BYTES = 32


def generate_private_key() -> str:
    """A new private key, clamped like `wg genkey` does it (RFC 7748, section 5)."""
    scalar = bytearray(os.urandom(KEY_BYTES))
    scalar[0] &= 248
    scalar[31] = (scalar[31] & 127) | 64
    return encode_key(bytes(scalar))


def public_key(private: str) -> str:
    """The public key of a private key, as `wg pubkey` prints it. Raises ValueError for a malformed key."""
    return encode_key(X25519PrivateKey.from_private_bytes(decode_key(private)).public_key().public_bytes_raw())


def generate_preshared_key() -> str:
    """A new preshared key: 32 random bytes, like `wg genpsk`."""
    return encode_key(os.urandom(KEY_BYTES))


def encode_key(raw: bytes) -> str:
    """Raw key bytes as base64."""
    return base64.b64encode(raw).decode("ascii")


def decode_key(text: str) -> bytes:
    """The 32 bytes of a base64 key.

    Raises ValueError, which never quotes the key, for anything but the canonical form: no white space, no missing
    padding, no stray bits.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("A WireGuard key is 44 characters of base64.") from None
    if len(raw) != KEY_BYTES or encode_key(raw) != text:
        raise ValueError("A WireGuard key is 44 characters of base64, for exactly 32 bytes.")
    return raw


def is_contributory(raw_public_key: bytes) -> bool:
    """Does a key exchange with this public key yield a secret?

    A point of low order (such as the all-zero key) always yields the same all-zero result (RFC 7748, section 6.1).
    """
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(raw_public_key))
    except ValueError:
        return False
    return True


def is_canonical(raw_public_key: bytes) -> bool:
    """Is this how X25519 writes the point? It ignores the highest bit, and reduces by the prime (RFC 7748, section 5).

    Other spellings of a point look like other keys, and no handshake with them succeeds.
    """
    return int.from_bytes(raw_public_key, "little") < 2**255 - 19


def generate_ssh_key() -> tuple[str, str]:
    """A new key pair for SSH: the private key as a file of OpenSSH, and the public one as type and base64 value."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    return private, public


def ssh_fingerprint(public: str) -> str:
    """The SHA256 fingerprint of a public key, as ssh-keygen -l prints it; "" for no key."""
    if not public:
        return ""
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")
