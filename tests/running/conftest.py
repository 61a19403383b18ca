"""A network namespace that plays the host, and portals in it."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_portal import RunningPortal

HUB_ADDRESS = "203.0.113.9"


@pytest.fixture
def host_netns() -> Iterator[str]:
    """A namespace of the test's own, with one global address."""
    name = f"up-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "-n", name, "address", "add", f"{HUB_ADDRESS}/32", "dev", "lo"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def portal(host_netns: str) -> Iterator[RunningPortal]:
    """A portal that is not started yet, in a directory that only root may enter; gone after the test."""
    running = RunningPortal(host_netns, mode=0o700)
    yield running
    running.remove()


def uid_of(pid: int) -> int:
    """The account that a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid
