"""`python -m tests.bench.openvpn`: an instance with thousands of OpenVPN peers beside the same with a few."""

from __future__ import annotations

import time
from statistics import median

from tests.bench.figures import milliseconds, say, say_where
from tests.bench.running import Bench, bench
from tests.network.lab import Node

SIZES = (10, 2_000)
RUNS = 9
CONNECTIONS = 3
PAGES = 25


def at(size: int, run: Bench, instance: str, device: Node) -> None:
    """Print the figures of an instance with so many peers."""
    filled = run.fill(instance, size, "openvpn")
    say(f"{size} OpenVPN peers: issuing them", f"{filled['created']:.1f} s")
    say(f"{size} OpenVPN peers: until the hub has them, after that", f"{filled['settled']:.2f} s")
    pages = median(run.page_seconds(instance) for _ in range(PAGES))
    say(f"{size} OpenVPN peers: the instance page, to the first byte", milliseconds(pages))
    added = [run.add_peer(instance, f"new {size} {count}", "openvpn") for count in range(RUNS)]
    delivered = median(seconds for _, _, seconds in added)
    say(f"{size} OpenVPN peers: adding one, POST to profile in hand (median of {RUNS})", milliseconds(delivered))
    connected = median(connecting(run, instance, device) for _ in range(CONNECTIONS))
    say(f"{size} OpenVPN peers: adding one, POST to connected", f"{connected:.2f} s")
    looked = run.inside("tests.bench.observe", instance)
    say(f"{size} OpenVPN peers: the agent's answer on what the hub does", milliseconds(looked["status"]))
    say(f"{size} OpenVPN peers: the worker's whole look at the hub", milliseconds(looked["job"]))
    say(f"{size} OpenVPN peers: noting down that all are connected (made up)", milliseconds(looked["everybody"]))


def connecting(run: Bench, instance: str, device: Node) -> float:
    """Add a peer and bring its profile up with openvpn(8); the seconds from the POST until it is connected."""
    profile, started, _ = run.add_peer(instance, "laptop", "openvpn")
    run.lab.openvpn_up(device, profile, seconds=30)
    seconds = time.perf_counter() - started
    run.lab.openvpn_down(device)
    return seconds


def main() -> None:
    """Measure and print."""
    with bench() as run:
        device = run.lab.add_client("device")
        instance, _ = run.create_instance("benchopenvpn")
        for size in SIZES:
            at(size, run, instance, device)
        say("Memory of portal and hub at the end", f"{run.memory():.0f} MB")


if __name__ == "__main__":
    say_where()
    main()
