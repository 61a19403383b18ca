"""Commands on the laboratory's nodes."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tests.lab.nodes import Node

# Sockets of wireguard-go and openresolv's notes are kept apart per namespace, so that every client can use the very
# file, and so the interface name, that it downloaded.
_ENTER: Final = (
    'mkdir -p /run/wireguard /run/resolvconf && mount --bind "$1/wireguard" /run/wireguard'
    ' && mount --bind "$1/resolvconf" /run/resolvconf && shift && exec "$@"'
)


@dataclass
class Commands:
    """Runs commands on nodes, whose files are below `directory`. A part of `Lab`."""

    directory: Path = field(default=Path(), init=False)
    _processes: list[subprocess.Popen[str]] = field(default_factory=list, init=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), init=False)

    def argv(self, node: Node, argv: Sequence[str]) -> list[str]:
        """Return `argv` as it must be called from outside to run on `node`."""
        enter = ["ip", "netns", "exec", node.netns]
        if node.name == "host":
            return [*enter, *argv]
        return [*enter, "unshare", "-m", "sh", "-c", _ENTER, "sh", str(self.directory / node.name), *argv]

    def run(
        self, node: Node, argv: Sequence[str], *, check: bool = True, stdin: str = "", timeout: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on `node`. Raises AssertionError with its output when it fails, unless `check` is False."""
        done = subprocess.run(
            self.argv(node, argv), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{argv} on {node.name} failed ({done.returncode}): {done.stdout}{done.stderr}")
        return done

    def start(
        self, node: Node, argv: Sequence[str], stdout: int | IO[str] = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start a command on `node` that ends with the laboratory at the latest."""
        process = subprocess.Popen(
            self.argv(node, argv), stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, text=True
        )
        self._processes.append(process)
        return process
