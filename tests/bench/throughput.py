"""`python -m tests.bench.throughput`: TCP between two clients through our hub, and through a bare one, taking turns."""

from __future__ import annotations

import json
from statistics import median

from tests.bench import bare
from tests.bench.figures import say, say_where
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node

SECONDS = 4
PAIRS = 3


def megabits(lab: Lab, sender: Node, address: str) -> float:
    """Mbit/s that arrive at iperf3 on `address` from `sender`, the first second left out."""
    command = ["iperf3", "-J", "-c", address, "-t", str(SECONDS), "-O", "1"]
    found: float = json.loads(lab.run(sender, command).stdout)["end"]["sum_received"]["bits_per_second"]
    return found / 1e6


def compare(what: str, lab: Lab, sender: Node, ours: str, theirs: str) -> None:
    """Measure both ways in turns, now this one first and now that, and print."""
    pairs = []
    for count in range(PAIRS):
        turns = (theirs, ours) if count % 2 else (ours, theirs)
        found = {address: megabits(lab, sender, address) for address in turns}
        pairs.append((found[ours], found[theirs]))
    hub, plain = (median(figures) for figures in zip(*pairs, strict=True))
    say(f"{what}, client to client: our hub / bare (median of {PAIRS} pairs)", f"{hub:.0f} / {plain:.0f} Mbit/s")
    ratios = [one / other for one, other in pairs]
    say(
        f"{what}: ratio, median of the pairs (and each)",
        f"{median(ratios):.2f} ({' '.join(map('{:.2f}'.format, ratios))})",
    )


def forward(lab: Lab) -> None:
    """Let the host forward, as bare servers need it."""
    settings = ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0"]
    lab.run(lab.host, ["sysctl", "-qw", *settings])


def over_openvpn(lab: Lab, hub: Hub, clients: list[Node]) -> None:
    """Compare the hub's UDP listener with a bare server."""
    devices = [hub.add_openvpn() for _ in clients]
    hub.apply_next()
    for node, device in zip(clients, devices, strict=True):
        lab.openvpn_up(node, hub.openvpn_profile(device), "ours")
    with bare.openvpn(lab, clients, "bare") as address:
        compare("OpenVPN", lab, clients[0], devices[-1].v4, address)
    for node in clients:
        lab.openvpn_down(node, "ours")


def over_wireguard(lab: Lab, hub: Hub, clients: list[Node]) -> None:
    """Compare the hub's WireGuard with a bare one."""
    devices = [hub.add() for _ in clients]
    hub.apply_next()
    for node, device in zip(clients, devices, strict=True):
        lab.wg_quick_up(node, hub.profile(device), "ours")
        lab.wait_ping(node, hub.v4)
    with bare.wireguard(lab, clients, "bare") as address:
        compare("WireGuard", lab, clients[0], devices[-1].v4, address)


def main() -> None:
    """Measure and print."""
    with Lab() as lab:
        agent = Agent(lab)
        try:
            clients = [lab.add_client("sender"), lab.add_client("receiver")]
            lab.start(clients[-1], ["iperf3", "-s"])
            forward(lab)
            hub = Hub(lab, agent, mtu=bare.MTU)
            over_openvpn(lab, hub, clients)
            over_wireguard(lab, hub, clients)
        finally:
            agent.close()


if __name__ == "__main__":
    say_where()
    main()
