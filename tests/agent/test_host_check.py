"""The host's tables are compared when something may have changed, and from time to time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vpn.agent.lifecycle import host_parts
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import HostCheck
from vpn.agent.memory.state import State
from vpn.agent.network import egress
from vpn.agent.system.command import Netns
from vpn.agent.system.kernel_events import KernelEvents
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What may have changed, one entry for each announcement that was not taken; see `check`."""
    monkeypatch.setattr(egress, "is_forwarding", lambda _: True)
    announced: list[str] = []
    monkeypatch.setattr(KernelEvents, "may_have_changed", lambda _: bool(announced and announced.pop()))
    return announced


def check(host: Host, monkeypatch: pytest.MonkeyPatch) -> tuple[HostCheck, list[str]]:
    """A check, and one entry for each time that it compared the host."""
    compared: list[str] = []

    def reconcile(_: Host) -> bool:
        compared.append("compared")
        return False

    monkeypatch.setattr(host_parts, "reconcile_host", reconcile)
    return HostCheck(host), compared


def test_an_unchanged_host_is_compared_once(tmp_path: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run, compared = check(Host(Netns("host"), State(tmp_path)), monkeypatch)
    for _ in range(5):
        assert not run.run()
    assert len(compared) == 1
    checks.append("an address")
    for _ in range(3):
        run.run()
    assert len(compared) == 2
    path = tmp_path / "sources.json"
    path.write_text("{}")
    os.utime(path, (time.time() - 10,) * 2)
    for _ in range(3):
        run.run()
    assert len(compared) == 3
    monkeypatch.setattr(egress, "is_forwarding", lambda _: False)
    run.run()
    assert len(compared) == 4


def test_a_host_is_compared_from_time_to_time_without_an_announcement(
    tmp_path: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_parts, "_UNCHANGED_FOR", 0.0)
    run, compared = check(Host(Netns("host"), State(tmp_path)), monkeypatch)
    for _ in range(3):
        run.run()
    assert len(compared) == 3


def test_a_check_that_fails_is_repeated(tmp_path: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run, compared = check(Host(Netns("host"), State(tmp_path)), monkeypatch)

    def fail(_: Host) -> bool:
        raise AgentError(FAILED, "The host is being changed.", codes.HUB_UNKNOWN.of())

    with monkeypatch.context() as failing:
        failing.setattr(host_parts, "reconcile_host", fail)
        with pytest.raises(AgentError):
            run.run()
    run.run()
    run.run()
    assert len(compared) == 1
