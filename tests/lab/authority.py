"""A certificate authority and client profiles for OpenVPN in the laboratory."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from vpn import pki
from vpn.wire.documents import OpenVPNDocument


def tls_crypt_v2_keys() -> tuple[str, str]:
    """Return a server's key and a client's key, made by openvpn itself."""
    with tempfile.TemporaryDirectory() as directory:
        server, client = Path(directory, "server"), Path(directory, "client")
        subprocess.run(["openvpn", "--genkey", "tls-crypt-v2-server", str(server)], check=True, capture_output=True)
        make = ["openvpn", "--tls-crypt-v2", str(server), "--genkey", "tls-crypt-v2-client", str(client)]
        subprocess.run(make, check=True, capture_output=True)
        return server.read_text(), client.read_text()


@dataclass
class Authority:
    """What the portal holds of a hub's OpenVPN."""

    port: int
    compat_port: int | None = None
    revoked: list[pki.Revoked] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        self.authority = pki.create_authority("hub", now)
        self.server = pki.issue_server(self.authority, "hub", now)
        self.server_key, self.client_key = tls_crypt_v2_keys()
        self.crl = pki.revocation_list(self.authority, self.revoked, 1, now)

    def issue(self, common_name: str) -> pki.Credential:
        """Return a certificate with its key for a peer."""
        return pki.issue_client(self.authority, common_name, datetime.now(UTC))

    def revoke(self, credential: pki.Credential) -> None:
        """Put a certificate on the list."""
        now = datetime.now(UTC)
        self.revoked.append(pki.Revoked(credential.serial, now))
        self.crl = pki.revocation_list(self.authority, self.revoked, len(self.revoked) + 1, now)

    def renew(self) -> None:
        """Give the hub a new certificate."""
        self.server = pki.issue_server(self.authority, "hub", datetime.now(UTC))

    def document(self) -> OpenVPNDocument:
        """Return the hub's own side of OpenVPN."""
        return {
            "ca": self.authority.certificate,
            "certificate": self.server.certificate,
            "private_key": self.server.private_key,
            "crl": self.crl,
            "tls_crypt_v2": self.server_key,
            "udp_port": self.port,
            "tcp_port": self.port,
            "compat_port": self.compat_port,
        }
