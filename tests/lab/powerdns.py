"""A real PowerDNS on loopback, with one zone that its HTTP API changes, as DNS_URL names it."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import requests

from tests.lab.bind import free_port
from tests.lab.waiting import wait_until

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
class PowerDns:
    """A context manager: inside, pdns_server(1) answers for `zone`, and its API changes that."""

    zone: str = "vpn.acme.test"
    address: str = "127.0.0.1"
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="pdns-", dir="/tmp"))
        self.port, self.api_port = free_port(), free_port()
        named = {"directory": self.directory, "key": self.key, "address": self.address}
        text = _CONFIGURATION.format(**named, port=self.port, api_port=self.api_port)
        (self.directory / "pdns.conf").write_text(text)
        try:
            self.start()
            zone = {"name": f"{self.zone}.", "kind": "Native", "nameservers": [f"ns.{self.zone}."]}
            self._api("POST", "zones", zone)
            self.change(f"ns.{self.zone}", "A", self.address)
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
            argv = ["pdns_server", f"--config-dir={self.directory}", "--daemon=no", "--guardian=no"]
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, 30, "PowerDNS", self._log)

    def stop(self) -> None:
        """End it, so that it does not answer; the zone stays."""
        self.process.terminate()
        self.process.wait(30)

    def url(self, *, key: str = "", zone: str = "", options: str = "secure=false") -> str:
        """What DNS_URL is for this server; with another key or zone, a wrong one."""
        place = f"{self.address}:{self.api_port}/{zone or self.zone}"
        return f"libcloud+powerdns://{key or self.key}@{place}?{options}"

    def answers_of(self, name: str, kind: str = "A") -> set[str]:
        """The records of a name in the zone, as text."""
        query = dns.message.make_query(dns.name.from_text(name), kind)
        answer = dns.query.udp(query, self.address, port=self.port, timeout=5)
        wanted, full = dns.rdatatype.from_text(kind), dns.name.from_text(name)
        return {
            one.to_text() for rrset in answer.answer if rrset.rdtype == wanted and rrset.name == full for one in rrset
        }

    def lifetime_of(self, name: str, kind: str = "A") -> int:
        """The lifetime of the records of a name, in seconds."""
        query = dns.message.make_query(dns.name.from_text(name), kind)
        return dns.query.udp(query, self.address, port=self.port, timeout=5).answer[0].ttl

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

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log()
        with suppress(requests.ConnectionError, dns.exception.DNSException, OSError):
            self._api("GET", "zones")
            dns.query.udp(dns.message.make_query(self.zone, "SOA"), self.address, port=self.port, timeout=5)
            return True
        return False

    def _log(self) -> str:
        return (self.directory / "log").read_text()[-2000:]
