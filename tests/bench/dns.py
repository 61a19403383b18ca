"""`python -m tests.bench.dns`: from a change that brings a new name to its first answer, and what a resolver holds."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.figures import milliseconds, say
from tests.lab.devices import Device
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab

SIZES: Final = (10, 10_000)
RUNS: Final = 15
DOMAIN: Final = "bench.vpn.example.net"
_POOL: Final = ipaddress.IPv4Network("100.64.0.0/18")
# Asks for each name that it reads until there is an answer, and says when that came.
_ASK: Final = """
import socket, struct, sys, time
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.connect((sys.argv[1], 53))
for line in sys.stdin:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in line.strip().split("."))
    while True:
        door.send(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + bytes(1) + struct.pack(">HH", 1, 1))
        if door.recv(2048)[7]:
            break
        time.sleep(0.001)
    print(time.perf_counter(), flush=True)
"""


@dataclass
class Asker:
    """A device that asks the hub."""

    process: subprocess.Popen[str]

    def wait_for(self, name: str) -> None:
        """Begin to ask for a name."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}.{DOMAIN}\n")
        self.process.stdin.flush()

    def answered(self) -> float:
        """Wait for the answer and return when it came (time.perf_counter)."""
        assert self.process.stdout is not None
        return float(self.process.stdout.readline())


def at(size: int, hub: Hub, asker: Asker) -> None:
    """Print the figures of a hub with so many peers."""
    hub.add_many(size - len(hub.devices))
    for number, device in enumerate(hub.devices.values()):
        device.names = (f"device{number}.member{number % 500}",)
    hub.apply_next()
    unchanged = hub.apply().duration_ms
    seconds, agent_ms = [], []
    for run in range(RUNS):
        device = named(hub, f"new{run}.size{size}")
        delta = hub.delta(upsert=[device])
        asker.wait_for(device.names[0])
        started = time.perf_counter()
        agent_ms.append(hub.send(delta).duration_ms)
        seconds.append(asker.answered() - started)
    say(f"{size} peers: a new name, from the change to its answer (median of {RUNS})", milliseconds(median(seconds)))
    say(f"{size} peers: of that the agent, with the rest of the hub", f"{median(agent_ms):.0f} ms")
    say(f"{size} peers: comparing the whole hub, nothing changed", f"{unchanged:.0f} ms")
    say(f"{size} peers: memory of the resolver", f"{memory(hub):.1f} MB")


def named(hub: Hub, name: str) -> Device:
    """A peer that is to come, with a name."""
    device = hub.add()
    del hub.devices[device.peer_id]
    device.names = (name,)
    return device


def memory(hub: Hub) -> float:
    """Megabytes that the resolver holds."""
    pid = (hub.lab.state / hub.hub / "dns" / "started").read_text().split()[0]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main() -> None:
    """Measure and print."""
    with Lab() as lab:
        agent = Agent(lab)
        hub = Hub(lab, agent, pool_v4=_POOL)
        hub.resolver = {
            "domain": DOMAIN,
            "public_addresses": [lab.host.v4],
            "upstreams": [lab.outside.v4],
            "domains": [],
            "domain_servers": [],
            "records": [],
        }
        alice = lab.add_client("alice")
        hub.connect(alice)
        argv = lab.argv(alice, [sys.executable, "-S", "-c", _ASK, hub.v4])
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            for size in SIZES:
                at(size, hub, Asker(process))
            process.kill()
        agent.close()


if __name__ == "__main__":
    main()
