"""Sessions that a worker opens in advance."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from tests.factories import make_region
from tests.lab.waiting import wait_until
from vpn import failures
from vpn.choices import ServerState
from vpn.drivers import registry
from vpn.drivers.base import ServerAddress, Unreachable
from vpn.jobs.servers import open_sessions
from vpn.models import Region, Server, SshAccess

pytestmark = pytest.mark.django_db
ANSWERS_WITHIN = 30.0


def ready(region: Region, name: str) -> Server:
    """A server that is ready."""
    return Server.objects.create(region=region, name=name, state=ServerState.READY)


def test_a_slow_server_delays_neither_the_others_nor_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    region = make_region()
    slow, away, quick = (ready(region, name) for name in ("slow", "away", "quick"))
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


def test_sessions_are_opened_with_ready_servers_that_have_none_or_another_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    region = make_region()
    open_already, broken, upgraded, _ = (ready(region, name) for name in ("open", "broken", "upgraded", "new"))
    Server.objects.create(region=region, name="away", state=ServerState.UNREACHABLE)
    SshAccess.objects.create(server=upgraded, user="root", host="192.0.2.7", agent="2")
    registry.close_all()
    drivers = {open_already: True, broken: False, upgraded: True}
    for server, is_open in drivers.items():
        address = ServerAddress(id=server.pk, driver="local", agent="1" if server == upgraded else "")
        monkeypatch.setitem(registry._opened, server.pk, (address, SimpleNamespace(is_open=lambda it=is_open: it)))
    opened: set[str] = set()
    monkeypatch.setattr("vpn.jobs.servers._open_session", lambda server: opened.add(server.name))
    open_sessions()
    wanted = {"broken", "upgraded", "new", "This machine"}
    wait_until(lambda: len(opened) == len(wanted), ANSWERS_WITHIN, "the sessions", lambda: str(opened))
    assert opened == wanted
