"""Which driver a server gets: one of its own per process, and a sentence where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.factories import make_region
from vpn import failures
from vpn.drivers import registry
from vpn.drivers.base import ServerAddress, Unreachable
from vpn.drivers.registry import driver_at
from vpn.jobs.servers import driver_for
from vpn.models import Server


class Closing:
    """A driver that tells whether it was closed."""

    def __init__(self, _: ServerAddress) -> None:
        self.is_closed = False

    def close(self) -> None:
        """End it."""
        self.is_closed = True


@pytest.fixture(autouse=True)
def _closing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(registry.DRIVERS, "closing", Closing)
    monkeypatch.setitem(registry.DRIVERS, "another", Closing)
    yield
    registry.close_all()


def test_each_server_keeps_its_own() -> None:
    here, there = ServerAddress(uuid4(), "closing"), ServerAddress(uuid4(), "closing")
    assert driver_at(here) is driver_at(here)
    assert driver_at(here) is not driver_at(there)


def test_a_server_that_is_reached_otherwise_gets_another_and_the_first_is_closed() -> None:
    here = ServerAddress(uuid4(), "closing")
    first = driver_at(here)
    assert isinstance(first, Closing)
    assert driver_at(replace(here, driver="another")) is not first
    assert first.is_closed


def test_all_are_closed_at_the_end() -> None:
    first = driver_at(ServerAddress(uuid4(), "closing"))
    registry.close_all()
    assert isinstance(first, Closing)
    assert first.is_closed


def test_an_unknown_driver_is_named() -> None:
    with pytest.raises(Unreachable) as raised:
        driver_at(ServerAddress(uuid4(), "pigeon"))
    assert raised.value.finding == failures.UNKNOWN_DRIVER.of("pigeon")


@pytest.mark.django_db
def test_a_server_is_reached_by_its_regions_driver() -> None:
    region = make_region()
    other = Server.objects.create(region=region, name="Another")
    assert driver_for(region.servers.get(name="This machine")) is not driver_for(other)
    region.driver = "closing"
    region.save()
    assert isinstance(driver_for(Server.objects.get(pk=other.pk)), Closing)


def test_an_instance_without_a_server_cannot_be_reached() -> None:
    with pytest.raises(Unreachable) as raised:
        driver_for(None)
    assert raised.value.finding == failures.NO_SERVER.of()
