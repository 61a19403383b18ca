"""Packets between the laboratory's nodes: pings, HTTP, forged packets, and counting those that arrive."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tests.lab import scripts
from tests.lab.commands import Commands
from tests.lab.nodes import Node
from tests.lab.pinging import Pinging
from tests.lab.waiting import wait_until


class PacketCounter:
    """Counts packets that arrive in a namespace. Made by `Lab.count`."""

    def __init__(self, lab: Commands, node: Node, table: str) -> None:
        self._lab, self._node, self._table = lab, node, table

    @property
    def packets(self) -> int:
        """How many packets matched so far."""
        listing = json.loads(self._lab.run(self._node, ["nft", "-j", "list", "table", "inet", self._table]).stdout)
        found = re.search(r'"packets": (\d+)', json.dumps(listing))
        return int(found[1]) if found else 0


class Traffic(Commands):
    """Sends and counts packets. A part of `Lab`."""

    def ping(self, node: Node, address: str, *, count: int = 1, timeout: float = 1.0, source: str = "") -> bool:
        """Return whether `address` answers one of `count` pings from `node`."""
        options = ["-n", "-c", str(count), "-i", "0.2", "-W", str(timeout), *(["-I", source] if source else [])]
        return self.run(node, ["ping", *options, address], check=False).returncode == 0

    def wait_ping(self, node: Node, address: str, seconds: float = 10.0) -> float:
        """Wait until `address` answers `node` and return how long that took, in seconds."""
        return wait_until(
            lambda: self.ping(node, address, timeout=0.5), seconds, f"an answer to {node.name} from {address}"
        )

    def answers(self, node: Node, addresses: Sequence[str], timeout: float = 2.0) -> set[str]:
        """Return which of `addresses` answer a ping from `node`, all of them tried at the same time."""
        script = 'for each in "$@"; do ping -n -c 2 -i 0.3 -W "$0" "$each" >/dev/null && echo "$each" & done; wait'
        return set(self.run(node, ["sh", "-c", script, str(timeout), *addresses]).stdout.split())

    def start_ping(self, node: Node, address: str, interval: float = 0.05) -> Pinging:
        """Ping `address` from `node` all the time, until `stop()`."""
        output = self.directory / f"ping-{next(self._numbers)}"
        with output.open("w") as stream:
            process = self.start(node, ["ping", "-n", "-D", "-i", str(interval), address], stdout=stream)
        return Pinging(process, output)

    def serve_http(self, node: Node, address: str, port: int = 80, body: str = "hello") -> subprocess.Popen[str]:
        """Answer HTTP requests on `node` with `body`, from now on until `kill()` or the laboratory's end."""
        process = self.start(
            node, [sys.executable, "-c", scripts.SERVE, address, str(port), body], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"no HTTP server on {node.name}"
        return process

    def http_get(self, node: Node, url: str, timeout: float = 3.0) -> str | None:
        """Return what `url` answers `node`, or None when it does not answer."""
        command = [sys.executable, "-c", scripts.GET, url, str(timeout)]
        done = self.run(node, command, check=False, timeout=timeout + 10)
        return done.stdout if done.returncode == 0 else None

    def can_connect(self, node: Node, address: str, port: int, timeout: float = 1.0) -> bool:
        """Return whether `node` can open a TCP connection."""
        command = [sys.executable, "-c", scripts.CONNECT, address, str(port), str(timeout)]
        return self.run(node, command, check=False, timeout=timeout + 10).returncode == 0

    def inject(self, node: Node, source: str, destination: str, device: str = "wg0") -> None:
        """Put a UDP packet with any source and destination into a tunnel, past the node's own routing."""
        self.run(node, [sys.executable, "-S", "-c", scripts.INJECT, device, source, destination])

    @contextlib.contextmanager
    def count(self, node: Node, match: str) -> Iterator[PacketCounter]:
        """Count the packets that arrive at `node` and match an nftables expression (`ip saddr 10.9.9.9`)."""
        table = f"count{next(self._numbers)}"
        chain = "type filter hook prerouting priority -350; policy accept;"
        rules = f"table inet {table} {{ chain arrivals {{ {chain} {match} counter; }}; }}\n"
        self.run(node, ["nft", "-f", "-"], stdin=rules)
        try:
            yield PacketCounter(self, node, table)
        finally:
            self.run(node, ["nft", "delete", "table", "inet", table], check=False)
