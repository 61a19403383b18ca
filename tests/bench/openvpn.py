"""`python -m tests.bench.openvpn`: an instance with thousands of OpenVPN peers beside the same with a few."""

from __future__ import annotations

import json
import time
from ipaddress import IPv4Interface
from statistics import median

from tests.bench.figures import milliseconds, say, say_where
from tests.bench.running import Bench, bench
from tests.lab.nodes import Node

SIZES = (10, 2_000)
RUNS = 9
CONNECTIONS = 3
PAGES = 25
WATCHED = 3.0  # seconds after a deletion
TUNNEL = "tun0"


def at(size: int, run: Bench, instance: str, device: Node) -> None:
    """Print the figures of an instance with so many peers."""
    filled = run.fill(instance, size, "openvpn")
    say(f"{size} OpenVPN peers: issuing them", f"{filled['created']:.1f} s")
    say(f"{size} OpenVPN peers: until the hub has them, after that", f"{filled['settled']:.2f} s")
    pages = median(run.page_seconds(instance) for _ in range(PAGES))
    say(f"{size} OpenVPN peers: the instance page, to the first byte", milliseconds(pages))
    added = [run.add_peer(instance, f"new {size} {count}", "openvpn") for count in range(RUNS)]
    delivered = median(peer.seconds for peer in added)
    say(f"{size} OpenVPN peers: adding one, POST to profile in hand (median of {RUNS})", milliseconds(delivered))
    lives = [live(run, instance, device) for _ in range(CONNECTIONS)]
    connected, out = (median(seconds) for seconds in zip(*lives, strict=True))
    say(f"{size} OpenVPN peers: adding one, POST to connected (median of {CONNECTIONS})", f"{connected:.2f} s")
    say(f"{size} OpenVPN peers: deleting it, POST to the last packet", f"{out:.2f} s")
    looked = run.inside("tests.bench.observe", instance)
    say(f"{size} OpenVPN peers: the agent's answer on what the hub does", milliseconds(looked["status"]))
    say(f"{size} OpenVPN peers: the worker's whole look at the hub", milliseconds(looked["job"]))
    say(f"{size} OpenVPN peers: noting down that all are connected (made up)", milliseconds(looked["everybody"]))


def live(run: Bench, instance: str, device: Node) -> tuple[float, float]:
    """Add a peer, bring its profile up with openvpn(8), and delete it.

    Returns the seconds from the first POST until it was connected, and from the second until its last ping came back.
    """
    peer = run.add_peer(instance, "laptop", "openvpn")
    run.lab.openvpn_up(device, peer.profile, TUNNEL, seconds=30)
    connected = time.perf_counter() - peer.started
    addresses = run.lab.run(device, ["ip", "-4", "-json", "address", "show", "dev", TUNNEL]).stdout
    own = json.loads(addresses)[0]["addr_info"][0]
    network = IPv4Interface(f"{own['local']}/{own['prefixlen']}").network
    pinging = run.lab.start_ping(device, str(network[1]), interval=0.02)
    pinging.wait_for_replies()
    deleted = run.delete_peer(peer)
    time.sleep(WATCHED)
    last = pinging.replies()[-1][0]
    pinging.stop()
    run.lab.openvpn_down(device, TUNNEL)
    return connected, last - deleted


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
