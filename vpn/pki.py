"""Each instance's own certificate authority for OpenVPN, in Python only.

Certificates and revocation lists (RFC 5280), and the keys of the control channel (OpenVPN's tls-crypt-v2.txt). It needs
no Django and starts no process. All times are aware datetimes. Refusals are ValueErrors that never quote a key.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE: Final = timedelta(days=7305)  # 20 years
SERVER_LIFE: Final = timedelta(days=730)
CLIENT_LIFE: Final = timedelta(days=1826)  # 5 years
# Clocks of routers are often slow. They refuse certificates and revocation lists that begin in their future.
BACKDATED: Final = timedelta(days=2)

SERIAL_BITS: Final = 128
NAME_LENGTH: Final = 64  # ub-common-name of RFC 5280
# A peer's common name is also a file name on the hub, and appears on lines of OpenVPN's configuration.
PEER_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")

SERVER_KEY_TITLE: Final = "OpenVPN tls-crypt-v2 server key"
CLIENT_KEY_TITLE: Final = "OpenVPN tls-crypt-v2 client key"
SERVER_KEY_BYTES: Final = 128
CLIENT_KEY_BYTES: Final = 256
TAG_BYTES: Final = 32
IV_BYTES: Final = 16
TIMESTAMP: Final = 1  # the type of metadata that openvpn itself adds


@dataclass(frozen=True)
class Credential:
    """A certificate (PEM) with its private key (PEM of PKCS 8, not encrypted)."""

    certificate: str
    private_key: str = field(repr=False)
    serial: int
    not_after: datetime


@dataclass(frozen=True)
class Revoked:
    """A revoked certificate, and since when."""

    serial: int
    at: datetime


def create_authority(common_name: str, now: datetime) -> Credential:
    """A new authority that may sign certificates of servers and clients, but no other authority."""
    if not common_name.isprintable() or not 1 <= len(common_name.encode()) <= NAME_LENGTH:
        raise ValueError(f"An authority has a name of printable characters, in 1 to {NAME_LENGTH} bytes.")
    now = _second(now)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    builder = _certificate(name, name, key.public_key(), now - BACKDATED, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return _signed(builder, key, key)


def issue_server(authority: Credential, common_name: str, now: datetime, *, hosts: Iterable[str] = ()) -> Credential:
    """A certificate for the hub; `hosts` are the names and addresses under which clients reach it.

    RouterOS compares them with the one it connects to, openvpn compares the common name.
    """
    names = [_host(host) for host in hosts]
    # OpenVPN Connect accepts a server's certificate only with exactly these two usages, or with encipherment (for RSA).
    usage = _key_usage(digital_signature=True, key_agreement=True)
    return _issue(authority, common_name, now, SERVER_LIFE, usage, ExtendedKeyUsageOID.SERVER_AUTH, names)


def issue_client(authority: Credential, common_name: str, now: datetime) -> Credential:
    """A certificate for a peer; the hub identifies the peer by its common name."""
    usage = _key_usage(digital_signature=True)
    return _issue(authority, common_name, now, CLIENT_LIFE, usage, ExtendedKeyUsageOID.CLIENT_AUTH, [])


def revocation_list(authority: Credential, revoked: Iterable[Revoked], number: int, now: datetime) -> str:
    """The revocation list (PEM); `number` rises with every list.

    It expires with the authority, since an expired list refuses every certificate.
    """
    issuer, key = _load(authority.certificate, authority.private_key)
    now = _second(now)
    if now >= issuer.not_valid_after_utc:
        raise ValueError("The authority has expired.")
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(max(now - BACKDATED, issuer.not_valid_before_utc))
        .next_update(issuer.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key(issuer), critical=False)
    )
    first: dict[int, datetime] = {}
    for entry in revoked:
        at = _second(entry.at)
        first[entry.serial] = min(at, first.get(entry.serial, at))
    for serial, at in sorted(first.items()):
        entry_builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
        builder = builder.add_revoked_certificate(entry_builder.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")


def load(certificate: str, private_key: str) -> Credential:
    """A credential from its two PEM texts, in canonical form.

    Raises ValueError unless the key belongs to the certificate.
    """
    return _credential(*_load(certificate, private_key))


def validity(certificate: str) -> tuple[datetime, datetime]:
    """The begin and end of a certificate's validity (PEM)."""
    loaded = x509.load_pem_x509_certificate(certificate.encode())
    return loaded.not_valid_before_utc, loaded.not_valid_after_utc


def renewal_at(not_after: datetime, not_before: datetime) -> datetime:
    """When the last third of a certificate's life begins."""
    return not_after - (not_after - not_before) / 3


def _issue(
    authority: Credential,
    common_name: str,
    now: datetime,
    life: timedelta,
    usage: x509.KeyUsage,
    purpose: x509.ObjectIdentifier,
    names: list[x509.GeneralName],
) -> Credential:
    if not PEER_NAME.fullmatch(common_name):
        raise ValueError(f"A common name has 1 to {NAME_LENGTH} letters, digits, dots, hyphens and underscores.")
    issuer, authority_key = _load(authority.certificate, authority.private_key)
    now = _second(now)
    begin = max(now - BACKDATED, issuer.not_valid_before_utc)
    end = min(now + life, issuer.not_valid_after_utc)
    if now >= end:
        raise ValueError("The authority has expired.")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _certificate(_name(common_name), issuer.subject, key.public_key(), begin, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(_authority_key(issuer), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _signed(builder, key, authority_key)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(1 + secrets.randbelow(2**SERIAL_BITS - 1))
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> Credential:
    return _credential(builder.sign(signer, hashes.SHA256()), key)


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credential(
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        private_key=private.decode("ascii"),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
    )


def _load(certificate: str, private_key: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    loaded = x509.load_pem_x509_certificate(certificate.encode())
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError("This is no private key in PEM, or an encrypted one.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != loaded.public_key():
        raise ValueError("The private key is not the certificate's.")
    return loaded, key


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(
    *,
    digital_signature: bool = False,
    key_agreement: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=key_agreement,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _second(moment: datetime) -> datetime:
    # A naive time would be read as UTC without an error, and certificates have whole seconds only.
    if moment.tzinfo is None:
        raise ValueError("An aware datetime was expected.")
    return moment.astimezone(UTC).replace(microsecond=0)


def tls_crypt_v2_server_key() -> str:
    """A new key (PEM) with which a hub decrypts what its clients send before TLS begins."""
    return _pem(SERVER_KEY_TITLE, secrets.token_bytes(SERVER_KEY_BYTES))


def tls_crypt_v2_client_key(server_key: str) -> str:
    """A new client's key (PEM).

    It holds the key that encrypts the client's control channel, and the same again wrapped for the hub. `server_key` is
    the hub's (PEM).
    """
    raw = decode_tls_crypt_v2(server_key, SERVER_KEY_TITLE)
    if len(raw) != SERVER_KEY_BYTES:
        raise ValueError(f"A server key has {SERVER_KEY_BYTES} bytes.")
    # Two keys of 512 bits, of which 256 each are used: Ke and Ka of the document.
    cipher_key, hmac_key = raw[:32], raw[64:96]
    client_key = secrets.token_bytes(CLIENT_KEY_BYTES)
    wrapped = client_key + struct.pack("!BQ", TIMESTAMP, int(time.time()))
    length = struct.pack("!H", TAG_BYTES + len(wrapped) + 2)
    tag = hmac.digest(hmac_key, length + wrapped, hashlib.sha256)
    encryptor = Cipher(algorithms.AES256(cipher_key), modes.CTR(tag[:IV_BYTES])).encryptor()
    return _pem(CLIENT_KEY_TITLE, client_key + tag + encryptor.update(wrapped) + encryptor.finalize() + length)


def decode_tls_crypt_v2(text: str, title: str) -> bytes:
    """The bytes of a key (PEM) with this title.

    Raises ValueError for anything but the form that `openvpn --genkey` and this module write.
    """
    try:
        raw = base64.b64decode("".join(text.strip().split("\n")[1:-1]), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"This is no “{title}”.") from None
    if text.strip() != _pem(title, raw).strip():
        raise ValueError(f"This is no “{title}”.")
    return raw


def _pem(title: str, raw: bytes) -> str:
    encoded = base64.b64encode(raw).decode("ascii")
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    return "\n".join([f"-----BEGIN {title}-----", *lines, f"-----END {title}-----", ""])
