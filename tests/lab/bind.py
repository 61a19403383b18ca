"""A real BIND on loopback, with one zone that takes updates signed by a key, as DNS_URL names it."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import ClassVar, Final

import dns.name
import dns.query
import dns.tsig
import dns.update

from tests.lab.name_server import NameServer

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
class Bind(NameServer):
    """A context manager: inside, named(8) answers for `zone` on an address of loopback."""

    program: ClassVar[str] = "named"

    records: str = ""
    secret: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode())

    def url(self, *, key: str = KEY, secret: str = "", zone: str = "") -> str:
        """What DNS_URL is for this server; with another key, secret or zone, a wrong one."""
        return f"rfc2136://{key}:{secret or self.secret}@{self.address}:{self.port}/{zone or self.zone}"

    def settings(self) -> dict[str, str]:
        """The environment of a portal that publishes here, and checks here what it published."""
        return {"VPN_DOMAIN": self.zone, "DNS_URL": self.url(), "DNS_RESOLVER": f"{self.address}:{self.port}"}

    def change(self, name: str, kind: str, *values: str) -> None:
        """Replace the records of a name, as another user of the same key may."""
        key = dns.tsig.Key(KEY, self.secret, "hmac-sha256")
        update = dns.update.UpdateMessage(self.zone, keyring=key)
        update.delete(dns.name.from_text(name), kind)
        for value in values:
            update.add(dns.name.from_text(name), 300, kind, value)
        assert dns.query.tcp(update, self.address, port=self.port, timeout=10).rcode() == 0

    def _configure(self) -> None:
        named = {"directory": self.directory, "key": KEY, "secret": self.secret, "zone": self.zone}
        text = _CONFIGURATION.format(**named, port=self.port, address=self.address)
        (self.directory / "named.conf").write_text(text)
        (self.directory / "zone").write_text(_ZONE.format(address=self.address, records=self.records))

    def _argv(self) -> list[str]:
        return ["named", "-g", "-n", "1", "-c", str(self.directory / "named.conf")]
