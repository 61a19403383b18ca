"""A real DNS server on loopback with one zone, as a process with a directory of its own."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype

from tests.lab.waiting import wait_until


@dataclass
class NameServer(ABC):
    """A context manager: inside, the server answers for `zone` on an address of loopback."""

    program: ClassVar[str]

    zone: str = "vpn.acme.test"
    # Servers listen on addresses that an interface has: of 127.0.0.0/8 on this one alone.
    address: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.program}-", dir="/tmp"))
        self.port = free_port()
        try:
            self._configure()
            self.start()
            self._fill()
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
            self.process = subprocess.Popen(self._argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._is_up, 30, self.program, self._log)

    def stop(self) -> None:
        """End it, so that it does not answer; the zone stays."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def answers_of(self, name: str, kind: str = "A") -> set[str]:
        """The records of a name in the zone, as text."""
        wanted, full = dns.rdatatype.from_text(kind), dns.name.from_text(name)
        rrsets = self._ask(name, kind).answer
        return {one.to_text() for rrset in rrsets if rrset.rdtype == wanted and rrset.name == full for one in rrset}

    def lifetime_of(self, name: str, kind: str = "A") -> int:
        """The lifetime of the records of a name, in seconds."""
        return self._ask(name, kind).answer[0].ttl

    @abstractmethod
    def change(self, name: str, kind: str, *values: str) -> None:
        """Replace the records of a name, as another user of the same credentials may."""

    @abstractmethod
    def _configure(self) -> None:
        """Write the files that the server reads at its start."""

    @abstractmethod
    def _argv(self) -> list[str]:
        """The command, which stays in the foreground."""

    def _fill(self) -> None:  # noqa: B027 - most zones come with the configuration
        """Make the zone once the server answers."""

    def _answers(self) -> bool:
        """Does it answer for the zone?"""
        return bool(self._ask(self.zone, "SOA").answer)

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log()
        with suppress(dns.exception.DNSException, OSError):
            return self._answers()
        return False

    def _ask(self, name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(dns.name.from_text(name), kind)
        return dns.query.udp(query, self.address, port=self.port, timeout=5)

    def _log(self) -> str:
        return (self.directory / "log").read_text()[-2000:]


def free_port() -> int:
    """A port that is free for UDP and TCP, below those that the kernel gives to clients."""
    while True:
        port = 10_000 + secrets.randbelow(10_000)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams, suppress(OSError):
            stream.bind(("127.0.0.1", port))
            datagrams.bind(("127.0.0.1", port))
            return port
