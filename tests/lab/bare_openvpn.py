"""A bare openvpn server and its clients, each in a namespace of a laboratory: what our certificates and files meet."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until
from vpn.pki import Credential

UP: Final = "Initialization Sequence Completed"
TUNNEL_V4: Final = "100.64.0.1"
TUNNEL_V6: Final = "fd12:3456:789a::1"

_numbers = itertools.count(1)


@dataclass
class Running:
    """An openvpn process and what it said so far."""

    process: subprocess.Popen[str]
    log: Path

    def said(self, pattern: str) -> bool:
        """Whether a line matches the pattern."""
        return re.search(pattern, self.log.read_text(errors="replace")) is not None

    def wait(self, pattern: str = UP, seconds: float = 10.0) -> None:
        """Wait until a line matches the pattern. Raises AssertionError with the log."""
        try:
            wait_until(lambda: self.said(pattern), seconds, pattern)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text(errors='replace')}") from None

    def end(self) -> None:
        """Stop it, and wait until it is gone."""
        self.process.terminate()
        self.process.wait(10)


@dataclass
class Wire:
    """A hub's host and a client's, and the openvpn processes on them."""

    lab: Lab
    client: Node
    server_host: str = field(init=False)

    def __post_init__(self) -> None:
        self.server_host = self.lab.host.v4

    @contextmanager
    def server(
        self,
        authority: Credential,
        server: Credential,
        *,
        crl: str = "",
        tls_crypt_v2: str = "",
        port: int = 20001,
        proto: str = "udp",
        compat: bool = False,
    ) -> Iterator[Running]:
        """A server with these credentials."""
        directory = self._directory()
        files = {"ca": authority.certificate, "cert": server.certificate, "key": server.private_key}
        files |= {"crl-verify": crl} if crl else {}
        files |= {"tls-crypt-v2": tls_crypt_v2} if tls_crypt_v2 else {}
        ciphers = "AES-256-GCM:AES-256-CBC" if compat else "AES-256-GCM:CHACHA20-POLY1305"
        lines = ["server 100.64.0.0 255.255.255.0", "server-ipv6 fd12:3456:789a::/64", "topology subnet", "dev tun"]
        lines += [f"port {port}", f"proto {proto}-server" if proto == "tcp" else "proto udp", "dh none", "disable-dco"]
        lines += ["keepalive 2 10", "remote-cert-tls client", f"data-ciphers {ciphers}", "verb 4", "tun-mtu 1420"]
        lines += ["auth SHA1"] if compat else []
        for name, text in files.items():
            (directory / name).write_text(text)
            lines.append(f"{name} {directory / name}")
        running = self._start(self.lab.host, directory, "\n".join(lines) + "\n")
        try:
            running.wait()
            yield running
        finally:
            running.end()

    @contextmanager
    def connecting(self, text: str, *more: str) -> Iterator[Running]:
        """A client that reads this file, and these options after it."""
        running = self._start(self.client, self._directory(), text, *more)
        try:
            yield running
        finally:
            running.end()

    def reaches_hub(self) -> bool:
        """Whether packets of both families pass the tunnel."""
        return all(self.lab.ping(self.client, hub, count=3) for hub in (TUNNEL_V4, TUNNEL_V6))

    def _directory(self) -> Path:
        directory = self.lab.directory / f"openvpn-{next(_numbers)}"
        directory.mkdir(0o700)
        return directory

    def _start(self, node: Node, directory: Path, text: str, *more: str) -> Running:
        config, log = directory / "config.ovpn", directory / "log"
        config.touch(0o600)
        config.write_text(text)
        with log.open("w") as stream:
            return Running(self.lab.start(node, ["openvpn", "--config", str(config), *more], stream), log)


@contextmanager
def wire() -> Iterator[Wire]:
    """A laboratory with one client."""
    with Lab() as lab:
        yield Wire(lab, lab.add_client("ada"))
