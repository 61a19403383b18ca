"""Probers in a laboratory: one small process on each machine, that all ask and answer at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab.lab import Lab
from tests.lab.nodes import Node

OPEN, REFUSED, SILENT = "open", "refused", "silent"
_SCRIPT: Final = Path(__file__).with_name("prober.py")


@dataclass(frozen=True)
class Question:
    """Who asks whom what: `protocol` is tcp, udp or icmp; `expected` whether an answer is waited for; `source` the
    address to ask from, where it matters."""

    node: str
    protocol: str
    address: str
    port: int
    expected: bool = True
    source: str = ""


@dataclass(frozen=True)
class Flow:
    """Echoes so far: heard, lost (datagrams), when the last was heard (Unix time), the longest gap in seconds."""

    heard: int
    lost: int
    heard_at: float
    longest: float
    over: str


class Probers:
    """The probers of a laboratory, by the names of their machines."""

    def __init__(self, lab: Lab, ports: Sequence[int]) -> None:
        self.lab, self.ports = lab, ports
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def add(self, node: Node, addresses: Iterable[str]) -> None:
        """Start one that answers on these addresses, which must be there."""
        self.start(node)
        self._ask(node.name, command="listen", addresses=list(addresses), ports=list(self.ports))

    def start(self, node: Node) -> None:
        """Start one that only asks."""
        self.processes[node.name] = subprocess.Popen(
            self.lab.argv(node, [sys.executable, "-S", str(_SCRIPT)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, questions: Sequence[Question], seconds: float = 5.0) -> list[str]:
        """Return what came of each question: `open`, `refused` or `silent`."""
        asked: dict[str, list[int]] = {}
        for index, question in enumerate(questions):
            asked.setdefault(question.node, []).append(index)
        for name, indexes in asked.items():
            each = [questions[index] for index in indexes]
            listed = [[q.protocol, q.address, q.port, q.expected, q.source] for q in each]
            self._send(name, command="ask", questions=listed, seconds=seconds)
        results = [SILENT] * len(questions)
        for name, indexes in asked.items():
            for index, result in zip(indexes, self._hear(name), strict=True):
                results[index] = result
        return results

    def begin(self, node: Node, name: str, protocol: str, address: str, port: int) -> None:
        """Open a flow that goes on."""
        fault = self._ask(node.name, command="flow", name=name, to=[protocol, address, port])
        assert fault is None, f"{node.name}'s {name}: {fault}"

    def flows(self, node: Node) -> dict[str, Flow]:
        """Return what became of a node's flows so far."""
        found: Mapping[str, Any] = self._ask(node.name, command="flows")
        return {name: Flow(**each) for name, each in found.items()}

    def end(self, node: Node) -> None:
        """End a node's flows."""
        self._ask(node.name, command="end")

    def close(self) -> None:
        """End all."""
        for process in self.processes.values():
            process.kill()
            process.wait(5)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self.processes.clear()

    def _ask(self, node: str, **request: Any) -> Any:
        self._send(node, **request)
        return self._hear(node)

    def _send(self, node: str, **request: Any) -> None:
        stream = self.processes[node].stdin
        assert stream is not None
        stream.write(json.dumps(request) + "\n")
        stream.flush()

    def _hear(self, name: str) -> Any:
        stream = self.processes[name].stdout
        assert stream is not None
        return json.loads(stream.readline())
