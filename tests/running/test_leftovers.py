"""What an earlier run left behind is ended; nothing else ever is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal.running.leftovers import MARK, end_leftovers, find_leftovers
from vpn.agent.system.command import ENVIRONMENT

# Waits for as long as a test may last.
WAITS = """
import signal, sys
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """The mark of this test's own data directory: no process of another test has it."""
    return str(tmp_path / "var")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process with this mark in its environment."""
    started: list[subprocess.Popen[str]] = []

    def start(mark: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WAITS, *arguments],
            env={**os.environ, MARK: mark},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_leftover_is_found_and_ended(start: Start, mine: str) -> None:
    process = start(mine)
    assert find_leftovers(mine) == [process.pid]
    assert end_leftovers(mine, patience=5) == 1
    assert process.wait(5) == -15


def test_one_that_does_not_listen_is_made_to_end(start: Start, mine: str) -> None:
    process = start(mine, "stubborn")
    end_leftovers(mine, patience=0.2)
    assert process.wait(5) == -9


def test_another_portal_is_left_alone(start: Start, mine: str) -> None:
    process = start(mine + "2")
    assert end_leftovers(mine, patience=0) == 0
    assert process.poll() is None


def test_a_process_that_has_ended_is_none(start: Start, mine: str) -> None:
    process = start(mine)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert find_leftovers(mine) == []


def test_hubs_do_not_carry_the_mark() -> None:
    assert MARK not in ENVIRONMENT
