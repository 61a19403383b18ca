"""A portal that publishes in a real BIND on loopback, and checks by asking it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from portal.running.dns_url import parse_dns_url
from tests.lab.bind import Bind


@pytest.fixture(scope="module")
def running() -> Iterator[Bind]:
    """A BIND for the whole file."""
    with Bind(records="taken A 192.0.2.9") as server:
        yield server


@pytest.fixture
def publishing(running: Bind, settings: Settings) -> Bind:
    """The settings of such a portal."""
    settings.VPN_DOMAIN = running.zone
    settings.DNS_PUBLISHER = parse_dns_url(running.url(), running.zone)
    settings.DNS_RESOLVER = (running.address, running.port)
    return running
