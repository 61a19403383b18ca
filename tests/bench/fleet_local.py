"""`python -m tests.bench.fleet_local [HUBS]`: many hubs on this machine, with the agent alone.

How long they take to begin, what they cost while nothing happens, and how soon they are back after a reboot.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Self

from tests.bench.figures import milliseconds, say, say_where
from tests.lab.authority import Authority
from tests.lab.dns import resolver
from tests.lab.hub import Agent, Hub, Watch
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.lifecycle.apply import apply
from vpn.agent.lifecycle.health import is_alive
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.state import State
from vpn.agent.system import command
from vpn.agent.system.command import Netns
from vpn.wire.spec import parse_spec

HUBS, PEERS, PORTS = 10, 20, 4
IDLE = 20.0  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


class Started:
    """Counts the programs that this process starts through the agent."""

    def __init__(self) -> None:
        self.programs: Counter[str] = Counter()
        self._call = command._call

    def __enter__(self) -> Self:
        def counted(argv: list[str], program: str, *rest: object) -> command.Result:
            self.programs[program] += 1
            return self._call(argv, program, *rest)  # type: ignore[arg-type]

        command._call = counted  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        command._call = self._call


def make(lab: Lab, agent: Agent, count: int) -> list[Hub]:
    """Return hubs that are only desired so far, each with peers, listeners and a resolver."""
    hubs = [Hub(lab, agent, port=20000 + PORTS * number) for number in range(count)]
    for hub in hubs:
        hub.add_many(PEERS)
        hub.authority = Authority(hub.port + 1)
        hub.resolver = resolver(hub)
        hub.server = {"addresses": [lab.host.v4], "networks": [], "portal_port": None}
    return hubs


def begin(host: Host, hubs: Sequence[Hub]) -> None:
    """Create the hubs, one after the other, and print what one took."""
    spans = []
    before, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    with Started() as started:
        for hub in hubs:
            at = time.perf_counter()
            apply(host, parse_spec(hub.document))
            spans.append(time.perf_counter() - at)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    children = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    say(f"{len(hubs)} hubs begin: one, median / all", f"{milliseconds(median(spans))} / {sum(spans):.1f} s")
    say("  processor time of one: agent / its programs", _per_hub(hubs, time.process_time() - own, children))
    listed = ", ".join(f"{name} {count / len(hubs):g}" for name, count in started.programs.most_common())
    say(f"  programs started for one ({listed})", f"{started.programs.total() / len(hubs):g}")


def idle(agent: Agent, count: int) -> None:
    """Print the processor time of the watch while nothing happens."""
    with Watch(agent) as watch:
        time.sleep(3)  # what it does once
        before = _spent(watch.process.pid)
        time.sleep(IDLE)
        spent = [now - then for now, then in zip(_spent(watch.process.pid), before, strict=True)]
    shares = " + ".join(f"{100 * each / IDLE:.1f} %" for each in spent)
    say(f"watch over {count} idle hubs, share of a core: agent + its programs", shares)


def reboot(lab: Lab, host: Host, agent: Agent, hubs: Sequence[Hub]) -> None:
    """Print how soon all hubs are back after a reboot."""
    lab.reboot_host()
    with Watch(agent) as watch:
        at = time.perf_counter()
        before = _spent(watch.process.pid)
        wait_until(lambda: all(is_alive(host.hub(hub.hub)) for hub in hubs), 600, "all hubs")
        took = time.perf_counter() - at
        spent = [now - then for now, then in zip(_spent(watch.process.pid), before, strict=True)]
    say(f"{len(hubs)} hubs are back after a reboot: all / one", f"{took:.1f} s / {milliseconds(took / len(hubs))}")
    say("  processor time of one: agent / its programs", _per_hub(hubs, *spent))


def _per_hub(hubs: Sequence[Hub], *spans: float) -> str:
    return " / ".join(milliseconds(span / len(hubs)) for span in spans)


def _spent(pid: int) -> tuple[float, float]:
    """Return the processor time of a process and of its ended children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = (sum(map(int, fields[at : at + 2])) / TICKS for at in (11, 13))
    return own, children


def main(count: int = HUBS) -> None:
    """Measure and print."""
    with Lab() as lab:
        agent = Agent(lab)
        host = Host(Netns(lab.host.netns), State(lab.state))
        hubs = make(lab, agent, count)
        begin(host, hubs[:1])
        idle(agent, 1)
        begin(host, hubs[1:])
        idle(agent, count)
        reboot(lab, host, agent, hubs)


if __name__ == "__main__":
    say_where()
    main(*map(int, sys.argv[1:2]))
