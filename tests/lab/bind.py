"""A real BIND on loopback, with one zone that takes updates signed by a key, as DNS_URL names it."""

from __future__ import annotations

import base64
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.update

from tests.lab.waiting import wait_until

KEY: Final = "portal-key"
_CONFIGURATION: Final = """
options {{
    directory "{directory}"; pid-file none; session-keyfile "{directory}/session.key";
    listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; notify no; minimal-responses no; allow-transfer {{ none; }};
}};
controls {{ }};
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
key "reader" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{ type primary; file "zone"; allow-update {{ key "{key}"; }}; }};
"""
_ZONE: Final = """$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A {address}
{records}
"""


@dataclass
class Bind:
    """A context manager: inside, named(8) answers for `zone` on an address of loopback."""

    zone: str = "vpn.acme.test"
    records: str = ""
    # BIND listens on addresses that an interface has: of 127.0.0.0/8 on this one alone.
    address: str = "127.0.0.1"
    secret: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode())

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="bind-", dir="/tmp"))
        self.port = free_port()
        named = {"directory": self.directory, "key": KEY, "secret": self.secret, "zone": self.zone}
        text = _CONFIGURATION.format(**named, port=self.port, address=self.address)
        (self.directory / "named.conf").write_text(text)
        (self.directory / "zone").write_text(_ZONE.format(address=self.address, records=self.records))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            argv = ["named", "-g", "-n", "1", "-c", str(self.directory / "named.conf")]
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, 30, "BIND", lambda: (self.directory / "log").read_text()[-2000:])

    def stop(self) -> None:
        """End it, so that it does not answer; the zone stays."""
        self.process.terminate()
        self.process.wait(30)

    def url(self, *, key: str = KEY, secret: str = "", zone: str = "") -> str:
        """What DNS_URL is for this server; with another key, secret or zone, a wrong one."""
        return f"rfc2136://{key}:{secret or self.secret}@{self.address}:{self.port}/{zone or self.zone}"

    def answers_of(self, name: str, kind: str = "A") -> set[str]:
        """The records of a name in the zone, as text."""
        answer = self._ask(name, kind)
        wanted, full = dns.rdatatype.from_text(kind), dns.name.from_text(name)
        return {
            one.to_text() for rrset in answer.answer if rrset.rdtype == wanted and rrset.name == full for one in rrset
        }

    def change(self, name: str, kind: str, *values: str) -> None:
        """Replace the records of a name, as another user of the same key may."""
        key = dns.tsig.Key(KEY, self.secret, "hmac-sha256")
        update = dns.update.UpdateMessage(self.zone, keyring=key)
        update.delete(dns.name.from_text(name), kind)
        for value in values:
            update.add(dns.name.from_text(name), 300, kind, value)
        assert dns.query.tcp(update, self.address, port=self.port, timeout=10).rcode() == 0

    def _ask(self, name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(dns.name.from_text(name), kind)
        return dns.query.udp(query, self.address, port=self.port, timeout=5)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            return bool(self._ask(self.zone, "SOA").answer)
        except (dns.exception.DNSException, OSError):
            return False


def free_port() -> int:
    """A port that is free for UDP and TCP, below those that the kernel gives to clients."""
    while True:
        port = 10_000 + secrets.randbelow(10_000)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams, suppress(OSError):
            stream.bind(("127.0.0.1", port))
            datagrams.bind(("127.0.0.1", port))
            return port
