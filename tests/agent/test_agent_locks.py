"""The agent's locks among threads of one process, as `watch` restores hubs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vpn.agent.system.lock import BusyError, host_lock, hub_lock


def test_a_thread_takes_its_locks_again_and_another_one_waits(tmp_path: Path) -> None:
    def take(hub: str) -> bool:
        with hub_lock(tmp_path, hub, 0.0), host_lock(tmp_path, 0.0):
            return True

    with ThreadPoolExecutor(1) as pool, hub_lock(tmp_path, "one"):
        assert pool.submit(take, "two").result(60)
        with pytest.raises(BusyError):
            pool.submit(take, "one").result(60)
        with hub_lock(tmp_path, "one"), host_lock(tmp_path), host_lock(tmp_path), pytest.raises(BusyError):
            pool.submit(take, "two").result(60)
        assert pool.submit(take, "two").result(60)


def test_the_order_of_locks_is_each_threads_own(tmp_path: Path) -> None:
    def take() -> str:
        with hub_lock(tmp_path, "one"):
            return "taken"

    with ThreadPoolExecutor(1) as pool, host_lock(tmp_path):
        assert pool.submit(take).result(60) == "taken"
        with pytest.raises(RuntimeError), hub_lock(tmp_path, "two"):
            pass
