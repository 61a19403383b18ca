"""A real PowerDNS on loopback, with one zone that its HTTP API changes, as DNS_URL names it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import requests

from tests.lab.name_server import NameServer, free_port

_CONFIGURATION: Final = """
launch=lmdb
lmdb-filename={directory}/zones
lmdb-shards=1
local-address={address}
local-port={port}
socket-dir={directory}
webserver-address={address}
webserver-port={api_port}
webserver-allow-from={address}
api=yes
api-key={key}
security-poll-suffix=
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
"""


@dataclass
class PowerDns(NameServer):
    """A context manager: inside, pdns_server(1) answers for `zone`, and its API changes that."""

    program: ClassVar[str] = "pdns_server"

    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def url(self, *, key: str = "", zone: str = "", options: str = "secure=false") -> str:
        """What DNS_URL is for this server; with another key or zone, a wrong one."""
        place = f"{self.address}:{self.api_port}/{zone or self.zone}"
        return f"libcloud+powerdns://{key or self.key}@{place}?{options}"

    def change(self, name: str, kind: str, *values: str) -> None:
        """Replace the records of a name, as another user of the API may."""
        rrset: dict[str, Any] = {"name": f"{name}.", "type": kind, "changetype": "REPLACE" if values else "DELETE"}
        if values:
            rrset |= {"ttl": 300, "records": [{"content": value, "disabled": False} for value in values]}
        self._api("PATCH", f"zones/{self.zone}.", {"rrsets": [rrset]})

    def _api(self, method: str, path: str, body: Any = None) -> requests.Response:
        url = f"http://{self.address}:{self.api_port}/api/v1/servers/localhost/{path}"
        answer = requests.request(method, url, json=body, headers={"X-API-Key": self.key}, timeout=10)
        assert answer.ok, answer.text
        return answer

    def _configure(self) -> None:
        self.api_port = free_port()
        named = {"directory": self.directory, "key": self.key, "address": self.address}
        text = _CONFIGURATION.format(**named, port=self.port, api_port=self.api_port)
        (self.directory / "pdns.conf").write_text(text)

    def _argv(self) -> list[str]:
        return ["pdns_server", f"--config-dir={self.directory}", "--daemon=no", "--guardian=no"]

    def _fill(self) -> None:
        self._api("POST", "zones", {"name": f"{self.zone}.", "kind": "Native", "nameservers": [f"ns.{self.zone}."]})
        self.change(f"ns.{self.zone}", "A", self.address)

    def _answers(self) -> bool:
        # The zone comes after the start: any answer will do.
        with suppress(requests.ConnectionError):
            self._api("GET", "zones")
            self._ask(self.zone, "SOA")
            return True
        return False
