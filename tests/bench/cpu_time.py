"""Processor time of what runs on the laboratory's nodes, to the nanosecond (schedstat, proc(5))."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.lab.nodes import Node


class ProcessorTime:
    """The seconds that the processes of `nodes` have used: all of them, and the daemon that relays between clients.

    The daemon runs on `machine`, with `words` in its command line. What the kernel does with a packet counts for the
    process that sent it.
    """

    def __init__(self, nodes: Iterable[Node], machine: Node, words: str) -> None:
        pids = {node.name: _pids(node) for node in nodes}
        self.pids = [pid for each in pids.values() for pid in each]
        (self.pid,) = (pid for pid in pids[machine.name] if words in _command(pid))

    def daemon(self) -> float:
        """Of the daemon."""
        return seconds_of([self.pid])

    def everything(self) -> float:
        """Of all that ran at the beginning."""
        return seconds_of(self.pids)


def _pids(node: Node) -> list[int]:
    listed = subprocess.run(["ip", "netns", "pids", node.netns], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def seconds_of(pids: Sequence[int]) -> float:
    """The seconds that these processes have used."""
    found = 0
    for pid in pids:
        # A thread that ends takes its time with it: these daemons keep theirs.
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                found += int(path.read_text().split()[0])
    return found / 1e9
