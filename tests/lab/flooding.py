"""Connections by the thousand from a machine of the laboratory, and what becomes of a neighbour's traffic meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

from tests.lab.lab import Lab
from tests.lab.nodes import Node

# Packets at a fixed rate: each a connection of its own (`flood`), or all of them one (`one`), or none (`stop`). UDP
# needs no answer to be tracked.
_SEND: Final = """
import selectors, socket, sys, time
address, rate = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
door = socket.socket(family, socket.SOCK_DGRAM)
door.setblocking(False)
waiting = selectors.DefaultSelector()
waiting.register(sys.stdin, selectors.EVENT_READ)
mode, number, due = "stop", 0, time.monotonic()
print("ready", flush=True)
while True:
    if waiting.select(0.005):
        line = sys.stdin.readline()
        if not line:
            break
        mode, _, wanted = line.strip().partition(" ")
        rate, due = int(wanted or rate), time.monotonic()
        print(number, flush=True)
    now = time.monotonic()
    if mode == "stop":
        continue
    # What could not be sent in time is not made up for.
    due = max(due, now - 0.05)
    while due < now:
        due += 1 / rate
        number += 1
        if mode == "flood" and number % 50000 == 0:
            door.close()
            door = socket.socket(family, socket.SOCK_DGRAM)
            door.setblocking(False)
        try:
            door.sendto(b"x", (address, 10000 + (number % 50000 if mode == "flood" else 0)))
        except OSError:
            pass
"""
_SINK: Final = """
import socket, sys, threading
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
door = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
received = 0
def swallow(connection):
    global received
    with connection:
        while data := connection.recv(262144):
            received += len(data)
def accept():
    while True:
        threading.Thread(target=swallow, args=(door.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    print(received, flush=True)
"""
_POUR: Final = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as connection:
    print("ready", flush=True)
    while True:
        connection.sendall(bytes(65536))
"""


@dataclass(frozen=True)
class Talker:
    """A process that answers each line with a line."""

    process: subprocess.Popen[str]

    def ask(self, line: str) -> str:
        """Send a line and return what comes back."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process.kill()
        self.process.wait(10)


def talker(lab: Lab, node: Node, script: str, *arguments: str) -> Talker:
    """Start a script on `node` and wait until it says that it is ready."""
    argv = lab.argv(node, [sys.executable, "-S", "-c", script, *arguments])
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    found = Talker(process)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        found.close()
        raise AssertionError(f"nothing to talk to on {node.name}")
    return found


def flooder(lab: Lab, node: Node, address: str, packets_a_second: int) -> Talker:
    """Return what sends to `address`: `flood`, `one` or `stop`, with another rate where a number follows.

    It answers how many packets it has sent.
    """
    return talker(lab, node, _SEND, address, str(packets_a_second))


class Stream:
    """TCP as fast as it goes from one machine to another, and how much of it arrives."""

    def __init__(self, lab: Lab, sender: Node, receiver: Node, address: str, port: int = 7000) -> None:
        self._sink = talker(lab, receiver, _SINK, address, str(port))
        try:
            self._source = talker(lab, sender, _POUR, address, str(port))
        except AssertionError:
            self._sink.close()
            raise

    def rate(self, seconds: float) -> float:
        """Return how many bytes a second arrive, from now on for so many seconds."""
        before, started = int(self._sink.ask("")), time.monotonic()
        time.sleep(seconds)
        return (int(self._sink.ask("")) - before) / (time.monotonic() - started)

    def close(self) -> None:
        """End both."""
        self._source.close()
        self._sink.close()
