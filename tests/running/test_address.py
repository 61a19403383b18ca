"""The default address of this machine's hubs, read from a namespace that plays the host."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from portal.running.address import default_hub_address

pytestmark = [pytest.mark.network, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def netns() -> Iterator[str]:
    name = f"addr-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def give(netns: str, address: str) -> None:
    subprocess.run(["ip", "-n", netns, "address", "add", address, "dev", "lo", "nodad"], check=True)


def test_a_host_with_loopback_alone_has_none(netns: str) -> None:
    assert default_hub_address(netns) is None


def test_ipv4_comes_before_ipv6(netns: str) -> None:
    give(netns, "2001:db8::9/128")
    assert default_hub_address(netns) == "2001:db8::9"
    give(netns, "203.0.113.9/32")
    give(netns, "203.0.113.10/32")
    assert default_hub_address(netns) == "203.0.113.9"


def test_a_namespace_that_is_not_there_has_none() -> None:
    assert default_hub_address("never-made") is None
