"""One TCP connection that goes on: a number each way, again and again, until it is stopped or breaks."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.lab import Lab
from tests.lab.nodes import Node
from tests.lab.waiting import wait_until

# Sends back whatever comes over any connection.
_SERVER: Final = """
import socket, sys, threading
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
def answer(connection):
    with connection:
        while part := connection.recv(65536):
            connection.sendall(part)
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=family) as door:
    print("ready", flush=True)
    while True:
        threading.Thread(target=answer, args=(door.accept()[0],), daemon=True).start()
"""
# Prints the time of each answer, and ends when the connection does.
_CLIENT: Final = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as connection:
    connection.settimeout(120)
    while True:
        connection.sendall(b"hello")
        left = 5
        while left:
            part = connection.recv(left)
            if not part:
                sys.exit("closed")
            left -= len(part)
        print(time.monotonic(), flush=True)
        time.sleep(0.05)
"""


@dataclass
class Conversation:
    """A connection that one node keeps with another."""

    process: subprocess.Popen[str]
    output: Path

    def answers(self) -> list[float]:
        """The times of the answers so far, in seconds."""
        return [float(line) for line in self.output.read_text().splitlines()]

    def goes_on(self, seconds: float, explain: Callable[[], str] = lambda: "") -> None:
        """Wait for three more answers on the same connection."""
        wanted = len(self.answers()) + 3

        def is_over() -> bool:
            return len(self.answers()) >= wanted or self.process.poll() is not None

        wait_until(is_over, seconds, "more answers", explain)
        assert self.process.poll() is None, "the connection broke"

    def longest_gap(self) -> float:
        """The longest time between two answers, in seconds."""
        return max((later - earlier for earlier, later in itertools.pairwise(self.answers())), default=0.0)


def serve_echo(lab: Lab, node: Node, address: str, port: int = 9007) -> None:
    """Answer connections to `address`, from now on until the laboratory's end."""
    process = lab.start(node, [sys.executable, "-S", "-c", _SERVER, address, str(port)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", f"no echo server on {node.name}"


def converse(lab: Lab, node: Node, address: str, port: int = 9007) -> Conversation:
    """Begin a connection from `node`, until the laboratory's end."""
    output = lab.directory / f"conversation-{node.name}-{address.replace(':', '-')}"
    with output.open("w") as stream:
        process = lab.start(node, [sys.executable, "-S", "-c", _CLIENT, address, str(port)], stdout=stream)
    return Conversation(process, output)
