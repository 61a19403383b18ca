"""The agent notices at once that a process has ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from vpn.agent.system.process_ends import ProcessEnds

LONG = 60.0  # seconds; a machine whose cores are all busy may take its time


@pytest.fixture
def sleeping() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen(["sleep", "600"]) for _ in range(3)]
    yield processes
    for process in processes:
        process.kill()
        process.wait(LONG)


def test_the_end_of_a_process_tells_its_hub_once(sleeping: list[subprocess.Popen[bytes]]) -> None:
    ends = ProcessEnds()
    one, two, three = sleeping
    assert ends.watch("a", [one.pid, two.pid])
    assert ends.watch("b", [three.pid])
    assert ends.hubs() == {"a", "b"}
    assert ends.wait(0.0) == set()
    one.kill()
    assert ends.wait(LONG) == {"a"}
    assert ends.hubs() == {"b"}
    assert ends.wait(0.0) == set()


def test_only_the_newest_processes_of_a_hub_count(sleeping: list[subprocess.Popen[bytes]]) -> None:
    ends = ProcessEnds()
    one, two, three = sleeping
    assert ends.watch("a", [one.pid, two.pid])
    assert ends.watch("a", [two.pid])
    assert ends.watch("b", [three.pid])
    ends.forget("b")
    for process in (one, three):
        process.kill()
        process.wait(LONG)
    assert ends.wait(0.0) == set()
    two.kill()
    assert ends.wait(LONG) == {"a"}


def test_a_process_that_is_gone_cannot_be_watched(sleeping: list[subprocess.Popen[bytes]]) -> None:
    gone, there, _ = sleeping
    gone.kill()
    gone.wait(LONG)
    ends = ProcessEnds()
    assert not ends.watch("a", [there.pid, gone.pid])
    ends.forget("a")
    assert ends.hubs() == set()
