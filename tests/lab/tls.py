"""TLS in front of a server of the test's own, for the laboratory's machines: its certificate, and who passes bytes."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.lab.nodes import Node
from vpn.agent.system import inside
from vpn.agent.system.command import Netns

PORT: Final = 443


@contextmanager
def behind_tls(node: Node, server: tuple[str, int], directory: Path) -> Iterator[Path]:
    """Inside the block, HTTPS to `node` reaches the server on the machine itself; yields its certificate's file."""
    certificate, key = _certificate(node.v4, directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # The socket stays in the namespace where it was opened; the threads that use it need not be there.
    listener = inside.call(Netns(node.netns), lambda: socket.create_server((node.v4, PORT)))
    thread = Thread(target=_accept, args=(listener, context, server), daemon=True)
    thread.start()
    try:
        yield certificate
    finally:
        # Closing alone does not wake who waits for a caller.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def _accept(listener: socket.socket, context: ssl.SSLContext, server: tuple[str, int]) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        Thread(target=_pass, args=(caller, context, server), daemon=True).start()


def _pass(caller: socket.socket, context: ssl.SSLContext, server: tuple[str, int]) -> None:
    """One request and its answer."""
    with contextlib.closing(caller), suppress(OSError):
        caller.settimeout(120)
        with context.wrap_socket(caller, server_side=True) as inner, socket.create_connection(server, 120) as upstream:
            upstream.sendall(_request(inner))
            while chunk := upstream.recv(65536):
                inner.sendall(chunk)


def _request(inner: ssl.SSLSocket) -> bytes:
    """The whole request, which asks for the connection to be closed after its answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = inner.recv(65536)
        if not chunk:
            raise OSError("The caller has gone.")
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    length = next((int(line.partition(b":")[2]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (chunk := inner.recv(65536)):
        body += chunk
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body


def _certificate(address: str, directory: Path) -> tuple[Path, Path]:
    """A certificate for an address, signed by its own key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "The portal of the laboratory")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = directory / "portal.pem", directory / "portal.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private
