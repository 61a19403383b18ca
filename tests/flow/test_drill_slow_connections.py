"""Drill: clients that take their time, from one address and from several, take the portal from no one else."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from portal.serving.limits import HEAD_SECONDS
from tests.lab.waiting import wait_until
from tests.portal.served import Peer
from tests.running_portal import ADMIN_EMAIL, ADMIN_PASSWORD, RunningPortal
from tests.visitor import Visitor

pytestmark = pytest.mark.flow

EACH = 400 if os.environ.get("DRILL") else 40  # connections of each kind
ROUNDS = 10 if os.environ.get("DRILL") else 3
PAGES = ("/", "/sites/", "/people/", "/my/", "/accounts/login/")
HEAD = b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n"
KINDS = {
    "heads": HEAD + b"X-Slow: ",
    "bodies": HEAD.replace(b"GET", b"POST") + b"Content-Length: 100000\r\n\r\n",
    "idle": HEAD + b"\r\n",
    "readers": (HEAD + b"\r\n") * 20,
}


@contextmanager
def trickling(peers: list[Peer]) -> Iterator[None]:
    """Send one byte a second on each connection."""
    ended = threading.Event()

    def trickle() -> None:
        while not ended.wait(1.0):
            for peer in peers:
                peer.say(b"a")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def seconds_of(visitor: Visitor, path: str) -> float:
    """How long an ordinary page takes, on a connection of its own; fails where it does not come."""
    begun = time.monotonic()
    visitor.get(path)
    return time.monotonic() - begun


def visit(portal: RunningPortal) -> list[float]:
    """Sign in and open every page, some times over: the seconds of each."""
    with Visitor(portal.url) as visitor:
        visitor.http.headers["Connection"] = "close"
        visitor.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
        return [seconds_of(visitor, path) for _ in range(ROUNDS) for path in PAGES]


def test_slow_connections_keep_no_visitor_out(portal: RunningPortal) -> None:
    before = visit(portal)
    slow = {
        kind: [Peer(portal.port, said, f"127.0.0.{1 + number % 9}", 4096) for number in range(EACH)]
        for kind, said in KINDS.items()
    }
    try:
        with trickling(slow["heads"] + slow["bodies"]):
            during = visit(portal)
            # One byte a second keeps no connection for longer than a head may take.
            wait_until(lambda: not any(peer.is_open() for peer in slow["heads"]), 60, "slow heads to be ended")
    finally:
        for peer in [peer for peers in slow.values() for peer in peers]:
            peer.close()
    print(f"{len(during)} pages beside {EACH * len(KINDS)} slow connections: {told(during)}")
    print(f"the same pages without them: {told(before)}")
    print(f"slow heads were ended after {HEAD_SECONDS:.0f} s")


def told(times: list[float]) -> str:
    """Seconds as figures in milliseconds."""
    return f"{statistics.median(times) * 1000:.0f} ms (at most {max(times) * 1000:.0f})"
