"""`python -m tests.bench.round_trips`: how long a server over SSH takes to have one more peer, near and 40 ms away.

The server, OpenSSH, the agent and its hub are real. The way is made longer by a relay, which holds what passes for half
of the round trip: not every kernel has netem.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from queue import Queue
from statistics import median

from django.conf import settings

from tests.bench.figures import milliseconds, say, say_where
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.remote import RemoteAgent, authorised, prepared
from tests.lab.server import LabServer
from vpn.agent.system import inside
from vpn.agent.system.command import Netns
from vpn.drivers.base import SshAddress

_ADDED = 30
_FAR = 0.04  # seconds


@dataclass
class Relay:
    """A way to an SSH server, `delay` seconds long in each direction."""

    netns: str
    address: SshAddress
    delay: float

    def __post_init__(self) -> None:
        self.listener = inside.call(Netns(self.netns), self._listener)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _listener() -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = inside.call(Netns(self.netns), self._far)
                for one, other in ((near, far), (far, near)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    passing: Queue[tuple[float, bytes]] = Queue()
                    threading.Thread(target=self._take, args=(one, passing), daemon=True).start()
                    threading.Thread(target=self._give, args=(other, passing), daemon=True).start()

    def _far(self) -> socket.socket:
        return socket.create_connection((self.address.host, self.address.port), 10)

    def _take(self, source: socket.socket, passing: Queue[tuple[float, bytes]]) -> None:
        source.settimeout(None)
        data = b"-"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            passing.put((time.monotonic() + self.delay, data))

    def _give(self, target: socket.socket, passing: Queue[tuple[float, bytes]]) -> None:
        while True:
            due, data = passing.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return


@contextmanager
def way(lab: Lab, address: SshAddress, delay: float) -> Iterator[SshAddress]:
    """The address of the server over a way of this length."""
    relay = Relay(lab.host.netns, address, delay)
    try:
        yield replace(address, host="127.0.0.1", port=relay.port)
    finally:
        relay.listener.close()


def added(hub: Hub) -> float:
    """The median of the times in which the hub has one more peer."""
    took = []
    for _ in range(_ADDED):
        device = hub.devices.pop(hub.add().peer_id)
        delta = hub.delta(upsert=[device])
        began = time.perf_counter()
        hub.send(delta)
        took.append(time.perf_counter() - began)
    return median(took)


def main() -> None:
    """Measure and print."""
    with Lab() as lab, LabServer(lab, "far") as server:
        settings.HUB_HOST_NETNS = lab.host.netns
        address = authorised(server)
        prepared(address)
        hub = Hub(lab, Agent(lab))
        hub.apply_next()
        say("the agent of this machine: one more peer", milliseconds(added(hub)))
        hub.agent.close()
        found = [_added_over(lab, address, delay) for delay in (0.0, _FAR / 2)]
        say(
            f"a server over SSH: one more peer, round trip 0 / {milliseconds(_FAR)}",
            " / ".join(map(milliseconds, found)),
        )
        say("round trips that one more peer takes there", f"{(found[1] - found[0]) / _FAR:.2f}")


def _added_over(lab: Lab, address: SshAddress, delay: float) -> float:
    with way(lab, address, delay) as longer:
        hub = Hub(lab, RemoteAgent(lab, longer))
        hub.apply_next()
        try:
            return added(hub)
        finally:
            hub.destroy()
            hub.agent.close()


if __name__ == "__main__":
    say_where()
    main()
