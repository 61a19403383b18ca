"""A ping that goes on, and what became of it."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.waiting import wait_until


@dataclass(frozen=True)
class PingResult:
    """What became of a continuous ping: `lost` counts the gaps between the first and the last answer."""

    received: int
    lost: int
    longest_gap: float  # seconds between two answers


class Pinging:
    """A ping that goes on until `stop()`. Made by `Lab.start_ping`."""

    _REPLY = re.compile(r"^\[(?P<at>[0-9.]+)\] \d+ bytes from .*(?:icmp_seq|seq)=(?P<seq>\d+)", re.MULTILINE)

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process = process
        self.output = output

    def replies(self) -> list[tuple[float, int]]:
        """Return the answers so far: when (Unix time) and which."""
        text = self.output.read_text()
        return [(float(found["at"]), int(found["seq"])) for found in self._REPLY.finditer(text)]

    def wait_for_replies(self, count: int = 3, seconds: float = 5.0) -> None:
        """Wait until `count` more answers are there."""
        target = len(self.replies()) + count
        wait_until(lambda: len(self.replies()) >= target, seconds, f"{count} more answers to ping")

    def stop(self) -> PingResult:
        """End the ping and return what became of it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        replies = self.replies()
        sequence = {number for _, number in replies}
        lost = max(sequence) - min(sequence) + 1 - len(sequence) if sequence else 0
        gaps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(replies)]
        return PingResult(len(sequence), lost, max(gaps, default=0.0))
