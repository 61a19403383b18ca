"""`python -m tests.bench.throughput`: TCP between two clients through our hub, and through a bare one, taking turns.

The ratio of one pair says little on a shared machine: what counts is the median of many, and their processor time for
each GB, which the machine's other work changes less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median, quantiles
from time import monotonic

from tests.bench import bare
from tests.bench.cpu_time import ProcessorTime
from tests.bench.figures import say, say_where
from tests.lab.hub import Agent, Hub
from tests.lab.lab import Lab
from tests.lab.nodes import Node

SECONDS = 2
PAIRS = 15


@dataclass(frozen=True)
class Figures:
    """One transfer: its rate, and the processor time for each GB: of the hub's daemon, and of all on the way."""

    megabits: float
    daemon: float
    everything: float


def transfer(lab: Lab, sender: Node, address: str, time: ProcessorTime) -> Figures:
    """Send TCP to iperf3 on `address` from `sender`."""
    received = None
    deadline = monotonic() + 60
    while received is None:
        assert monotonic() < deadline, "iperf3 does not answer"
        daemon, everything = time.daemon(), time.everything()
        done = lab.run(sender, ["iperf3", "-J", "-c", address, "-t", str(SECONDS)], check=False)
        daemon, everything = time.daemon() - daemon, time.everything() - everything
        # The server serves one client at a time, and may still be busy with the one before.
        received = json.loads(done.stdout)["end"].get("sum_received")
    gigabytes = received["bytes"] / 1e9
    return Figures(received["bits_per_second"] / 1e6, daemon / gigabytes, everything / gigabytes)


def compare(what: str, ours: Callable[[], Figures], theirs: Callable[[], Figures]) -> None:
    """Measure both in turns, now this one first and now that, and print."""
    pairs = []
    for count in range(PAIRS):
        if count % 2:
            other = theirs()
            pairs.append((ours(), other))
        else:
            one = ours()
            pairs.append((one, theirs()))
    _say(f"{what}, client to client: our hub, Mbit/s", (one.megabits for one, _ in pairs))
    _say(f"{what}: the bare one, Mbit/s", (other.megabits for _, other in pairs))
    _say(f"{what}: ratio of the rates", (one.megabits / other.megabits for one, other in pairs))
    _say(f"{what}: ratio of the daemon's processor time per GB", (one.daemon / other.daemon for one, other in pairs))
    _say(f"{what}: ratio of all processor time per GB", (one.everything / other.everything for one, other in pairs))


def _say(what: str, figures: Iterable[float]) -> None:
    """Print the median and, between the quartiles, the middle half."""
    found = sorted(figures)
    low, _, high = quantiles(found, n=4)
    digits = 0 if found[-1] > 20 else 2
    say(what, f"{median(found):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})")


def over_openvpn(lab: Lab, hub: Hub, machine: Node, clients: list[Node]) -> None:
    """Compare the hub's UDP listener with a bare server."""
    devices = [hub.add_openvpn() for _ in clients]
    hub.apply_next()
    for node, device in zip(clients, devices, strict=True):
        lab.openvpn_up(node, hub.openvpn_profile(device), "ours")
    with bare.openvpn(lab, machine, clients, "bare") as address:
        _compare(
            "OpenVPN",
            lab,
            clients,
            (lab.host, f"{hub.hub}/openvpn/udp.conf", devices[-1].v4),
            (machine, "openvpn", address),
        )
    for node in clients:
        lab.openvpn_down(node, "ours")


def over_wireguard(lab: Lab, hub: Hub, machine: Node, clients: list[Node]) -> None:
    """Compare the hub's WireGuard with a bare one."""
    devices = [hub.add() for _ in clients]
    hub.apply_next()
    for node, device in zip(clients, devices, strict=True):
        lab.wg_quick_up(node, hub.profile(device), "ours")
        lab.wait_ping(node, hub.v4)
    with bare.wireguard(lab, machine, clients, "bare") as address:
        _compare(
            "WireGuard", lab, clients, (lab.host, hub.interface, devices[-1].v4), (machine, bare.INTERFACE, address)
        )


def _compare(what: str, lab: Lab, clients: list[Node], *ways: tuple[Node, str, str]) -> None:
    """Compare two ways to the last client: the machine of the daemon, a part of its command line, and the address."""

    def measured(machine: Node, daemon: str, address: str) -> Callable[[], Figures]:
        time = ProcessorTime([machine, *clients], machine, daemon)
        return lambda: transfer(lab, clients[0], address, time)

    compare(what, *(measured(*way) for way in ways))


def main() -> None:
    """Measure and print."""
    with Lab() as lab:
        agent = Agent(lab)
        try:
            clients = [lab.add_client("sender"), lab.add_client("receiver")]
            lab.start(clients[-1], ["iperf3", "-s"])
            hub, machine = Hub(lab, agent, mtu=bare.MTU), bare.machine(lab)
            over_openvpn(lab, hub, machine, clients)
            over_wireguard(lab, hub, machine, clients)
        finally:
            agent.close()


if __name__ == "__main__":
    say_where()
    main()
