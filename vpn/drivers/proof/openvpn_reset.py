"""The first message of an OpenVPN client and the server's answer to it, which proves that a listener is reached.

A hard reset begins every session (OpenVPN's network protocol, ssl_pkt.h). A listener with tls-crypt-v2 answers only a
reset that is sealed with a client key of its own (tls-crypt-v2.txt); one without answers any. Nothing goes further, and
over UDP the server keeps no state of it.
"""

import hashlib
import hmac
import os
import struct
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from vpn.pki import CLIENT_KEY_BYTES, CLIENT_KEY_TITLE, TAG_BYTES, decode_tls_crypt_v2

RESET_CLIENT_V2, RESET_SERVER_V2, RESET_CLIENT_V3 = 7, 8, 10
SESSION_BYTES = 8
# A packet id from here on says that the client sends its wrapped key once more: the server then answers without
# keeping a state (EARLY_NEG_START of OpenVPN 2.6; earlier servers take it for a number like any other).
_STATELESS = 0x0F000001
_HEADER = 1 + SESSION_BYTES
_REPLAY_BYTES = 8  # packet id and time


class Reset:
    """One hard reset, with or without a client key (PEM), and how the answer to it is recognised."""

    def __init__(self, client_key: str) -> None:
        self._session = os.urandom(SESSION_BYTES)
        self._key = decode_tls_crypt_v2(client_key, CLIENT_KEY_TITLE) if client_key else b""

    @property
    def message(self) -> bytes:
        """What is sent: no acknowledgements, message number 0."""
        body = b"\0" + struct.pack("!I", 0)
        if not self._key:
            return bytes((RESET_CLIENT_V2 << 3,)) + self._session + body
        header = bytes((RESET_CLIENT_V3 << 3,)) + self._session + struct.pack("!II", _STATELESS, int(time.time()))
        # The client sends with the second half of its key, and takes the first for what it receives.
        tag = hmac.digest(self._key[192:224], header + body, hashlib.sha256)
        return header + tag + _counter_mode(self._key[128:160], tag, body) + self._key[CLIENT_KEY_BYTES:]

    def is_answer(self, message: bytes) -> bool:
        """Whether a message is the server's reset, in answer to this one."""
        if len(message) < _HEADER or message[0] >> 3 != RESET_SERVER_V2:
            return False
        body = self._opened(message) if self._key else message[_HEADER:]
        count = body[0] if body else 0
        # After the acknowledged numbers stands the session that they belong to.
        return count > 0 and body[1 + 4 * count : 1 + 4 * count + SESSION_BYTES] == self._session

    def _opened(self, message: bytes) -> bytes:
        header, rest = message[: _HEADER + _REPLAY_BYTES], message[_HEADER + _REPLAY_BYTES :]
        tag = rest[:TAG_BYTES]
        body = _counter_mode(self._key[0:32], tag, rest[TAG_BYTES:]) if len(tag) == TAG_BYTES else b""
        return body if hmac.compare_digest(hmac.digest(self._key[64:96], header + body, hashlib.sha256), tag) else b""


def _counter_mode(key: bytes, tag: bytes, text: bytes) -> bytes:
    cipher = Cipher(algorithms.AES256(key), modes.CTR(tag[:16])).encryptor()
    return cipher.update(text) + cipher.finalize()
