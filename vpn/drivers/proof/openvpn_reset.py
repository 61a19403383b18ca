"""The first message of an OpenVPN client; the server's answer proves that a listener is reached.

Every session starts with a hard reset (OpenVPN's network protocol, ssl_pkt.h). A listener with tls-crypt-v2 answers
only a reset that is encrypted with one of its client keys (tls-crypt-v2.txt); other listeners answer any. The test ends
there, and over UDP the server keeps no state.
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
# From this packet id on, the client announces that it will send its wrapped key again. The server then answers without
# keeping state (EARLY_NEG_START of OpenVPN 2.6; earlier servers ignore the meaning of the number).
_STATELESS = 0x0F000001
_HEADER = 1 + SESSION_BYTES
_REPLAY_BYTES = 8  # packet id and time


class Reset:
    """One hard reset, with or without a client key (PEM), and the check of its answer."""

    def __init__(self, client_key: str) -> None:
        self._session = os.urandom(SESSION_BYTES)
        self._key = decode_tls_crypt_v2(client_key, CLIENT_KEY_TITLE) if client_key else b""

    @property
    def message(self) -> bytes:
        """Return the message: no acknowledgements, message number 0."""
        body = b"\0" + struct.pack("!I", 0)
        if not self._key:
            return bytes((RESET_CLIENT_V2 << 3,)) + self._session + body
        header = bytes((RESET_CLIENT_V3 << 3,)) + self._session + struct.pack("!II", _STATELESS, int(time.time()))
        # The second half of the key is for sending, the first for receiving.
        tag = hmac.digest(self._key[192:224], header + body, hashlib.sha256)
        return header + tag + _counter_mode(self._key[128:160], tag, body) + self._key[CLIENT_KEY_BYTES:]

    def is_answer(self, message: bytes) -> bool:
        """Return True if a message is the server's reset in answer to this one."""
        if len(message) < _HEADER or message[0] >> 3 != RESET_SERVER_V2:
            return False
        body = self._opened(message) if self._key else message[_HEADER:]
        count = body[0] if body else 0
        # The acknowledged numbers are followed by the id of their session.
        return count > 0 and body[1 + 4 * count : 1 + 4 * count + SESSION_BYTES] == self._session

    def _opened(self, message: bytes) -> bytes:
        header, rest = message[: _HEADER + _REPLAY_BYTES], message[_HEADER + _REPLAY_BYTES :]
        tag = rest[:TAG_BYTES]
        body = _counter_mode(self._key[0:32], tag, rest[TAG_BYTES:]) if len(tag) == TAG_BYTES else b""
        return body if hmac.compare_digest(hmac.digest(self._key[64:96], header + body, hashlib.sha256), tag) else b""


def _counter_mode(key: bytes, tag: bytes, text: bytes) -> bytes:
    cipher = Cipher(algorithms.AES256(key), modes.CTR(tag[:16])).encryptor()
    return cipher.update(text) + cipher.finalize()
