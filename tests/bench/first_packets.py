"""`python -m tests.bench.first_packets`: instances and WireGuard peers, page to packet."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.figures import milliseconds, say
from tests.bench.running import Bench, bench
from tests.lab.lab import Lab

SIZES = (10, 1_000, 5_000)
RUNS = 15
PAGES = 40
INTERFACE = "wg9"
SCRIPT = Path(__file__).with_name("device.py")


class Device:
    """A device whose tunnel interface waits for a profile."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def connect(self, profile: str) -> None:
        """Give the device its profile and wait for the handshake."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(profile) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "connected\n"


@contextlib.contextmanager
def device(lab: Lab) -> Iterator[Device]:
    """A device in the laboratory, started and ended."""
    node = lab.add_client("device")
    lab.run(node, ["wireguard-go", INTERFACE])
    lab.run(node, ["ip", "link", "set", INTERFACE, "up"])
    command = lab.argv(node, [sys.executable, str(SCRIPT), f"/run/wireguard/{INTERFACE}.sock"])
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Device(process)
        finally:
            process.kill()


def at(size: int, run: Bench, instance: str, device: Device) -> float:
    """Print the figures of an instance with so many peers; the seconds to a first handshake."""
    run.fill(instance, size)
    delivered, handshakes = [], []
    for count in range(RUNS):
        added = run.add_peer(instance, f"new {size} {count}")
        device.connect(added.profile)
        delivered.append(added.seconds)
        handshakes.append(time.perf_counter() - added.started)
    say(f"{size} peers: adding one, POST to profile in hand (median of {RUNS})", milliseconds(median(delivered)))
    say(f"{size} peers: adding one, POST to first handshake", milliseconds(median(handshakes)))
    pages = median(run.page_seconds(instance) for _ in range(PAGES))
    say(f"{size} peers: the instance page, to the first byte", milliseconds(pages))
    return median(handshakes)


def main() -> None:
    """Measure and print."""
    with bench() as run, device(run.lab) as waiting:
        ready = [run.create_instance(f"bench{number}")[1] for number in range(5)]
        say("Local instance, from the button to ready (median of 5)", f"{median(ready):.2f} s")
        instance, _ = run.create_instance("benchmany")
        handshakes = {size: at(size, run, instance, waiting) for size in SIZES}
        say("First handshake at 1,000 peers over 10 peers", f"{handshakes[1_000] / handshakes[10]:.2f}")
        say("Memory of portal and hubs at the end", f"{run.memory():.0f} MB")


if __name__ == "__main__":
    main()
