"""Looks at servers: one that hangs delays neither the others nor the worker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.lab.waiting import wait_until
from vpn.jobs.runtime.looks import Looks

HANGING, OTHER = str(uuid4()), str(uuid4())


class Servers:
    """Servers that answer at once, but for one that answers when it is let go."""

    def __init__(self) -> None:
        self.begun, self.ended = Counter[str](), Counter[str]()
        self.released = threading.Event()

    def look(self, server_id: str) -> None:
        """Look at one of them."""
        self.begun[server_id] += 1
        if server_id == HANGING:
            self.released.wait(60)
        self.ended[server_id] += 1


@pytest.fixture
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.released.set()


def until(is_so: Callable[[], bool]) -> None:
    wait_until(is_so, 20)


def test_a_server_that_hangs_delays_no_other(servers: Servers) -> None:
    looks = Looks()
    looks.begin(servers.look, HANGING)
    for number in range(1, 4):
        looks.begin(servers.look, OTHER)
        until(lambda seen=number: servers.ended[OTHER] == seen)  # type: ignore[misc]
    assert servers.ended[HANGING] == 0


def test_a_server_is_looked_at_once_at_a_time_and_once_more_for_all_rings_meanwhile(servers: Servers) -> None:
    looks = Looks()
    looks.begin(servers.look, HANGING)
    until(lambda: servers.begun[HANGING] == 1)
    for _ in range(5):
        looks.begin(servers.look, HANGING)
    assert servers.begun[HANGING] == 1
    servers.released.set()
    until(lambda: servers.ended[HANGING] == 2)
    looks.wait(20)
    assert servers.begun[HANGING] == 2


def test_a_look_that_fails_keeps_no_server_from_the_next(servers: Servers) -> None:
    looks = Looks()

    def fail(server_id: str) -> None:
        servers.begun[server_id] += 1
        raise RuntimeError("a fault")

    looks.begin(fail, OTHER)
    looks.wait(20)
    looks.begin(fail, OTHER)
    looks.wait(20)
    assert servers.begun[OTHER] == 2
