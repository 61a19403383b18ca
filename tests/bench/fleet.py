"""`python -m tests.bench.fleet [HUBS ...]`: a portal with that many hubs on its own machine (50, 200 and 500).

All instances are requested at once. Then: an idle minute, a daemon that is killed, a restart of the portal, a reboot of
its machine, and the removal of everything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import say, say_where
from tests.bench.running import Bench, bench
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until

_IDLE_SECONDS = 30
_MOST_SECONDS = 3600.0
_TICK = os.sysconf("SC_CLK_TCK")


def main(fleets: list[int]) -> None:
    """Measure each fleet with a portal of its own."""
    for hubs in fleets:
        sys.stdout.write(f"--- {hubs} hubs\n")
        with bench() as fleet:
            _measure(fleet, hubs)


def _measure(fleet: Bench, hubs: int) -> None:
    portal, lab = fleet.portal, fleet.lab
    began = time.perf_counter()
    fleet.inside("tests.bench.seed_fleet", str(hubs))
    wait_until(lambda: _ready(fleet) >= hubs, _MOST_SECONDS, "all hubs to be ready")
    _say("all ready, requested at once", began)
    _idle(fleet)
    _say_healing(fleet)

    began = time.perf_counter()
    portal.stop()
    _say("the portal stopped, hubs kept", began)
    began = time.perf_counter()
    portal.start()
    wait_until(lambda: oldest_look(fleet) < time.perf_counter() - began, _MOST_SECONDS, "a look at every hub")
    _say("the portal started, every hub found again", began)

    portal.stop()
    lab.reboot_host()
    began = time.perf_counter()
    portal.start()
    wait_until(lambda: len(_tunnels(lab)) >= hubs, _MOST_SECONDS, "all hubs to be restored")
    _say("every hub restored after a reboot", began)

    portal.stop()
    began = time.perf_counter()
    portal.take_hubs_away()
    _say("everything removed", began)


def _say(what: str, began: float) -> None:
    say(what, f"{time.perf_counter() - began:.1f} s")


def _ready(fleet: Bench) -> int:
    return int(value_of(fleet, "SELECT count(*) FROM vpn_instance WHERE state = 'ready'"))


def oldest_look(fleet: Bench) -> float:
    """Seconds since the hub that has waited longest was looked at."""
    looked_at = value_of(fleet, "SELECT min(looked_at) FROM vpn_instanceobservation")
    return (datetime.now(UTC) - datetime.fromisoformat(f"{looked_at}+00:00")).total_seconds() if looked_at else 1e9


def value_of(fleet: Bench, query: str) -> str:
    """The only value that a query of the portal's database yields; "" for null."""
    (database,) = fleet.portal.data.glob("db/*.sqlite3")
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        (value,) = connection.execute(query).fetchone()
        return "" if value is None else str(value)


def _idle(fleet: Bench) -> None:
    """Say what an idle portal with its hubs costs, and how late looks are."""
    own = fleet.portal.processes()
    before, machine = seconds_of(own), _busy_seconds()
    latest, ends = 0.0, time.monotonic() + _IDLE_SECONDS
    while time.monotonic() < ends:
        latest = max(latest, oldest_look(fleet))
        time.sleep(0.5)
    say("idle: processor time of the portal", f"{(seconds_of(own) - before) / _IDLE_SECONDS:.1%} of a core")
    say("idle: processor time of the machine", f"{(_busy_seconds() - machine) / _IDLE_SECONDS:.1%} of a core")
    say("idle: oldest look at a hub", f"{latest:.1f} s")
    say("memory of the portal and its hubs", f"{fleet.memory():.0f} MB")


def _say_healing(fleet: Bench) -> None:
    pid = _tunnels(fleet.lab)[-1]
    os.kill(pid, signal.SIGKILL)
    began = time.perf_counter()
    hubs = int(value_of(fleet, "SELECT count(*) FROM vpn_instance"))
    wait_until(lambda: len(set(_tunnels(fleet.lab)) - {pid}) >= hubs, 60, "the killed daemon")
    _say("a killed wireguard-go runs again", began)


def _tunnels(lab: Lab) -> list[int]:
    """The processes of wireguard-go on the laboratory's host."""
    found = []
    for pid in lab.run(lab.host, ["ip", "netns", "pids", lab.host.netns]).stdout.split():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "wireguard-go\n":
                found.append(int(pid))
    return sorted(found)


def seconds_of(pids: Iterable[int]) -> float:
    """Processor time of these processes and of their ended children, in seconds."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / _TICK


def _busy_seconds() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / _TICK


if __name__ == "__main__":
    say_where()
    main([int(argument) for argument in sys.argv[1:]] or [50, 200, 500])
