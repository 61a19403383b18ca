"""The agent's session, as the worker keeps it open: no answer is ever taken for another's."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from vpn.drivers import local
from vpn.drivers.base import Unreachable
from vpn.drivers.local import LocalDriver

# Answers with a report on the hub that was asked about; says it slowly for a hub called "slow…".
AGENT = """
import json, sys, time
for line in sys.stdin:
    request = json.loads(line)
    hub = request.get("hub", "")
    if hub.startswith("slow"):
        time.sleep(0.6)
    if hub.startswith("forgetful"):
        request["id"] -= 1
    if hub.startswith("endless"):
        sys.stdout.write("x" * 3_000_000)
    report = {"hub": hub, "epoch": 1, "generation": 1, "digest": "", "alive": True, "observed_at": 1.0,
              "duration_ms": 1.0, "changed": {}}
    print(json.dumps({"id": request["id"], "report": report}), flush=True)
"""


class TimeIsOver(Exception):
    """What rq raises in the middle of a job that takes too long."""


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalDriver]:
    """A driver whose agent is made up."""
    monkeypatch.setattr(local, "agent_command", lambda: [sys.executable, "-c", AGENT])
    made = LocalDriver()
    yield made
    made.close()


def test_an_answer_to_a_job_that_was_ended_is_not_the_next_ones(driver: LocalDriver) -> None:
    assert driver.status("quickhub01", peers=False).hub == "quickhub01"

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise TimeIsOver

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TimeIsOver):
            driver.status("slowhub001", peers=False)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert driver.status("quickhub02", peers=False).hub == "quickhub02"


def test_an_answer_to_something_else_is_refused(driver: LocalDriver) -> None:
    with pytest.raises(Unreachable, match="not the answer"):
        driver.destroy("forgetful1", epoch=1, generation=1)


def test_an_answer_without_end_is_not_read(driver: LocalDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LARGEST_ANSWER", 2_000_000)
    with pytest.raises(Unreachable, match="without end"):
        driver.status("endless001", peers=False)
