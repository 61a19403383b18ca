"""`python -m tests.bench.footprint [PEERS]`: memory and idle processor time of a portal with one hub, by process.

Memory is the proportional set size: what processes share is counted once. Daemons of the hub are left out.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.bench.figures import say, say_where
from tests.bench.running import Bench, bench

PEERS: Final = 5_000
_PAGES: Final = 40
_SETTLES: Final = 90.0  # seconds until what follows a change is over
_IDLE: Final = 120.0  # seconds
_TICK: Final = os.sysconf("SC_CLK_TCK")


def main(peers: int = PEERS) -> None:
    """Measure and print."""
    with bench() as run:
        instance, _ = run.create_instance("footprint")
        time.sleep(_SETTLES)
        _say_memory(run, "one hub without peers")
        _say_idle(run, "one hub without peers")
        run.fill(instance, peers)
        for _ in range(_PAGES):
            run.page_seconds(instance)
        time.sleep(_SETTLES)
        _say_memory(run, f"{peers} peers, after {_PAGES} pages")
        _say_idle(run, f"{peers} peers")
        _say_memory(run, f"{peers} peers, at the end")


def _say_memory(run: Bench, when: str) -> None:
    sizes: Counter[str] = Counter()
    for pid, name in _processes(run).items():
        with suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            sizes[name] += int(found[1]) if found else 0
    say(f"Memory, {when}", f"{sizes.total() / 1024:.0f} MB")
    for name, size in sizes.most_common():
        say(f"  {name}", f"{size / 1024:.1f} MB")


def _say_idle(run: Bench, when: str) -> None:
    """Print the processor time of `_IDLE` seconds without a request, with that of the programs that were started."""
    processes = _processes(run)
    before = {pid: _spent(pid) for pid in processes}
    time.sleep(_IDLE)
    spent: Counter[str] = Counter()
    for pid, name in {**_processes(run), **processes}.items():
        # The time of one that has ended is in that of its parent, all of it.
        spent[name] += _spent(pid) - before.get(pid, 0)
    share = 100 / _TICK / _IDLE
    say(f"Idle, {when}: share of a core", f"{spent.total() * share:.2f} %")
    for name, ticks in spent.most_common():
        say(f"  {name}", f"{ticks * share:.2f} %")


def _processes(run: Bench) -> Mapping[int, str]:
    """Return the portal's processes by pid, each with a name: its own, or the last word of its command."""
    portal = run.portal
    found = {pid: _name(pid) for pid in portal.processes()}
    # Redis overwrites its environment, and `make up` has no mark.
    found[portal.pid("redis")] = "redis"
    if portal.process is not None:
        found[portal.process.pid] = "up"
    return found


def _name(pid: int) -> str:
    with suppress(OSError):
        own = Path(f"/proc/{pid}/comm").read_text().strip()
        words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        return own if not own.startswith("python") else " ".join([*words[2:3], *words[-1:]])
    return "ended"


def _spent(pid: int) -> int:
    """Return the processor time of a process and of its ended children, in clock ticks; 0 if it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


if __name__ == "__main__":
    say_where()
    main(*map(int, sys.argv[1:2]))
