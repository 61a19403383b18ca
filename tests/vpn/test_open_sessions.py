"""Sessions that a worker opens when it starts."""

from __future__ import annotations

import threading

import pytest

from tests.factories import make_region
from vpn import failures
from vpn.drivers.base import Unreachable
from vpn.jobs.servers import open_sessions
from vpn.models import Server

pytestmark = pytest.mark.django_db
ANSWERS_WITHIN = 30.0


def test_a_slow_server_delays_neither_the_others_nor_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    region = make_region()
    slow, away, quick = (Server.objects.create(region=region, name=name) for name in ("slow", "away", "quick"))
    released, answered = threading.Event(), threading.Event()

    class Session:
        def __init__(self, server: Server) -> None:
            self.server = server

        def check(self) -> None:
            if self.server == slow:
                assert released.wait(ANSWERS_WITHIN)
            elif self.server == away:
                raise Unreachable(failures.NO_SERVER.of())
            elif self.server == quick:
                answered.set()

    monkeypatch.setattr("vpn.jobs.servers.driver_for", Session)
    try:
        open_sessions()  # returns, though the slow one has not answered
        assert answered.wait(ANSWERS_WITHIN)
    finally:
        released.set()
