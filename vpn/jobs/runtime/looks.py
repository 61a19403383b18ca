"""Observe and check servers at the same time, each in a thread of its own: one that hangs delays no other.

A job begins a look and returns. One look of a kind runs per server: a ring meanwhile lets it run once more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from vpn.jobs.availability import check_server
from vpn.jobs.observe import observe_server
from vpn.jobs.runtime.connections import end_connections

logger = logging.getLogger(__name__)
# Each may have a connection to the database. A thread is started only if no other is free.
_MOST: Final = 60

_Key = tuple[Callable[[str], None], str]


class Looks:
    """The looks that run in this process."""

    def __init__(self, most: int = _MOST) -> None:
        self._pool = ThreadPoolExecutor(most, "look")
        self._turn = threading.Lock()
        self._running: dict[_Key, Future[None]] = {}
        self._rung: set[_Key] = set()

    def begin(self, look: Callable[[str], None], server_id: str) -> None:
        """Let a thread run `look(server_id)`; its requests to the agent bound its time."""
        key = look, server_id
        with self._turn:
            if key in self._running:
                self._rung.add(key)
            else:
                self._running[key] = self._pool.submit(self._run, key)

    def wait(self, seconds: float) -> None:
        """Wait for the running looks to end, at most for so long."""
        with self._turn:
            running = list(self._running.values())
        wait(running, seconds)

    def _run(self, key: _Key) -> None:
        look, server_id = key
        goes_on = True
        while goes_on:
            is_fault = True
            try:
                look(server_id)
                is_fault = False
            except Exception:
                logger.exception("A look at the server %s failed", server_id)
            end_connections(interrupted=is_fault)
            with self._turn:
                goes_on = key in self._rung
                self._rung.discard(key)
                if not goes_on:
                    del self._running[key]


_looks: Final = Looks()


def begin_observing(server_id: str) -> None:
    """Observe the due hubs of a server."""
    _looks.begin(observe_server, server_id)


def begin_check(server_id: str) -> None:
    """Check whether a server answers."""
    _looks.begin(check_server, server_id)


def wait_for_looks(seconds: float) -> None:
    """Let the looks of this process end, at most for so long."""
    _looks.wait(seconds)
