"""The default address of this machine's hubs, read from a namespace that plays the host."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from portal.running.address import default_hub_addresses, parse_hub_addresses

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
    assert default_hub_addresses(netns) == ()


def test_the_first_address_of_each_family_is_taken_ipv4_first(netns: str) -> None:
    give(netns, "2001:db8::9/128")
    assert default_hub_addresses(netns) == ("2001:db8::9",)
    give(netns, "203.0.113.9/32")
    give(netns, "203.0.113.10/32")
    assert default_hub_addresses(netns) == ("203.0.113.9", "2001:db8::9")


def test_a_local_ipv6_address_is_taken_where_there_is_nothing_else(netns: str) -> None:
    give(netns, "fd12::9/128")
    assert default_hub_addresses(netns) == ("fd12::9",)
    give(netns, "203.0.113.9/32")
    assert default_hub_addresses(netns) == ("203.0.113.9",)


def test_a_namespace_that_is_not_there_has_none() -> None:
    assert default_hub_addresses("never-made") == ()


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", ()),
        ("203.0.113.9", ("203.0.113.9",)),
        ("2001:DB8::9", ("2001:db8::9",)),
        ("203.0.113.9, 2001:db8::9", ("203.0.113.9", "2001:db8::9")),
        ("2001:db8::9 203.0.113.9", ("203.0.113.9", "2001:db8::9")),
    ],
)
def test_the_variable_takes_an_address_or_one_of_each_family(text: str, addresses: tuple[str, ...]) -> None:
    assert parse_hub_addresses(text) == addresses


@pytest.mark.parametrize(
    "text",
    [
        *("hub.example.net", "203.0.113.9,203.0.113.10", "[2001:db8::9]", "203.0.113.9/24"),
        *("127.0.0.1", "203.0.113.9 ::1", "224.0.0.9", "fe80::1"),
    ],
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"HUB_ADDRESS .*(address|each)"):
        parse_hub_addresses(text)
