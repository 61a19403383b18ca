"""What the local driver makes of the agent's session: a report, or a sentence for an admin."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.made_up_agent import AGENT
from vpn.drivers import local
from vpn.drivers.base import Unreachable
from vpn.drivers.local import LocalDriver


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalDriver]:
    """A driver whose agent is made up."""
    monkeypatch.setattr(local, "agent_command", lambda: [sys.executable, "-c", AGENT])
    made = LocalDriver()
    yield made
    made.close()


def test_a_report_comes_back(driver: LocalDriver) -> None:
    assert driver.status("quickhub01", peers=False).hub == "quickhub01"


def test_a_session_that_breaks_again_says_why(driver: LocalDriver) -> None:
    with pytest.raises(Unreachable, match=r"agent-silent: not the answer"):
        driver.destroy("forgetful1", epoch=1, generation=1)


def test_an_agent_that_cannot_be_started_does_not_answer(driver: LocalDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "agent_command", lambda: ["/nonexistent/agent"])
    with pytest.raises(Unreachable, match="agent-silent"):
        driver.check()
