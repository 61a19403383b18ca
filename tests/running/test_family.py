"""Processes that are forked from one parent: one that ends is started again alone, and all end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from portal.running.options import CLONE
from tests.lab.waiting import wait_until

_PROGRAM = """
import os, pathlib, signal, sys, time
from portal.running import family

def stay(name, seconds=600):
    with open(pathlib.Path(sys.argv[1], name), "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(seconds)

def come():
    stay("demanded", 0.5)

def fetch():
    while True:
        for path in pathlib.Path(sys.argv[1]).glob("wanted-*"):
            path.unlink()
            family.ring("demanded")
        time.sleep(0.05)

def fail():
    with open(pathlib.Path(sys.argv[1], "failing"), "a") as file:
        file.write(f"{os.getpid()}\\n")
    raise SystemExit(3)

members = {"first": lambda: stay("first"), "second": lambda: stay("second"), "failing": fail}
family.run_family({**members, "demanded": come, "fetching": fetch}, on_demand=["demanded"])
"""


class Family:
    """A running family, whose members note their process ids."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.parent = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(where)], cwd=CLONE)

    def pids(self, name: str) -> list[int]:
        """The process ids of a member, the newest last."""
        path = self.where / name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def await_number(self, name: str, number: int) -> list[int]:
        """Wait until a member has been started so many times."""
        wait_until(lambda: len(self.pids(name)) >= number, 60, f"start {number} of {name}")
        return self.pids(name)

    def await_end(self) -> None:
        """Wait until no member runs."""
        for name in ("first", "second"):
            wait_until(partial(has_ended, self.pids(name)[-1]), 60, f"{name} to end")


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    started = Family(tmp_path)
    try:
        for name in ("first", "second"):
            started.await_number(name, 1)
        yield started
    finally:
        started.parent.kill()
        started.parent.wait()
        started.await_end()


def has_ended(pid: int) -> bool:
    """True for one that has ended, even if no parent has waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_one_that_ends_is_started_again_and_its_siblings_go_on(family: Family) -> None:
    (first,), (second,) = family.pids("first"), family.pids("second")
    os.kill(first, signal.SIGKILL)
    assert family.await_number("first", 2)[-1] != first
    assert family.pids("second") == [second]
    assert not has_ended(second)


def test_one_that_fails_at_once_is_tried_again_and_stops_no_sibling(family: Family) -> None:
    family.await_number("failing", 3)
    assert not any(has_ended(family.pids(name)[-1]) for name in ("first", "second"))


def test_a_signal_ends_all_of_them(family: Family) -> None:
    family.parent.terminate()
    assert family.parent.wait(60) == 0
    assert all(has_ended(family.pids(name)[-1]) for name in ("first", "second"))


def test_they_end_with_a_parent_that_is_killed(family: Family) -> None:
    family.parent.kill()
    family.parent.wait()
    family.await_end()


def test_one_on_demand_runs_when_a_sibling_rings_for_it(family: Family) -> None:
    family.await_number("failing", 2)
    assert not family.pids("demanded")
    for number in (1, 2):
        (family.where / f"wanted-{number}").touch()
        pid = family.await_number("demanded", number)[-1]
        wait_until(partial(has_ended, pid), 60, "it to end")
    assert len(family.pids("demanded")) == 2
