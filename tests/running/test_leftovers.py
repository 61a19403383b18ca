"""What an earlier run left behind is ended; nothing else ever is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal.running.leftovers import MARK, end_leftovers, find_leftovers, read_process

MINE = "/srv/portal/var"
# Writes itself down like a program of ours, then waits for as long as a test may last.
WRITES_ITSELF_DOWN = """
import pathlib, signal, sys
from portal.running.leftovers import write_down
write_down(pathlib.Path(sys.argv[1]), "web")
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that leads a group of its own and is written down."""
    started: list[subprocess.Popen[str]] = []

    def start(mark: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITES_ITSELF_DOWN, str(tmp_path), *arguments]
        environ = {**os.environ, MARK: mark}
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, process_group=0)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_leftover_is_found_and_ended(start: Start, tmp_path: Path) -> None:
    process = start(MINE)
    assert [found.pid for found in find_leftovers(tmp_path, MINE)] == [process.pid]
    assert end_leftovers(tmp_path, MINE, patience=5) == 1
    assert process.wait(5) == -15


def test_one_that_does_not_listen_is_made_to_end(start: Start, tmp_path: Path) -> None:
    process = start(MINE, "stubborn")
    end_leftovers(tmp_path, MINE, patience=0.2)
    assert process.wait(5) == -9


def test_another_portal_is_left_alone(start: Start, tmp_path: Path) -> None:
    process = start("/srv/another/var")
    assert end_leftovers(tmp_path, MINE, patience=0) == 0
    assert process.poll() is None


def test_a_process_that_took_over_the_number_is_left_alone(start: Start, tmp_path: Path) -> None:
    process = start(MINE)
    record = json.loads((tmp_path / "web.json").read_text())
    (tmp_path / "web.json").write_text(json.dumps({**record, "started": record["started"] + 1}))
    assert end_leftovers(tmp_path, MINE, patience=0) == 0
    assert process.poll() is None


def test_records_of_an_earlier_boot_say_nothing(start: Start, tmp_path: Path) -> None:
    start(MINE)
    record = json.loads((tmp_path / "web.json").read_text())
    (tmp_path / "web.json").write_text(json.dumps({**record, "boot": "another"}))
    assert find_leftovers(tmp_path, MINE) == []


def test_a_process_that_has_ended_is_none() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert read_process(process.pid) is None
    process.wait()
