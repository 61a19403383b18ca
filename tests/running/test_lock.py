"""One `make up` per data directory."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from portal.running.errors import CannotRunError
from portal.running.lock import RunLock


def test_a_second_one_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    first = RunLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(CannotRunError, match=rf"process {os.getpid()}\b"):
        RunLock(tmp_path / "lock").acquire(patience=0)


def test_a_run_that_is_ending_is_waited_for(tmp_path: Path) -> None:
    first = RunLock(tmp_path / "lock")
    first.acquire()
    first.stopping()
    timer = threading.Timer(0.5, first.release)
    timer.start()
    RunLock(tmp_path / "lock").acquire(patience=0)
    timer.join()


def test_the_holder_is_known_for_as_long_as_it_holds(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "lock")
    assert lock.holder() is None
    lock.acquire()
    assert RunLock(tmp_path / "lock").holder() == os.getpid()
    lock.release()
    assert RunLock(tmp_path / "lock").holder() is None
