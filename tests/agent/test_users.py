"""User ids of hubs' daemons: the same for as long as a hub is there, no other hub's, and no account's."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from vpn.agent.system import processes, users
from vpn.wire.errors import AgentError

HUBS = [f"t{number:09}" for number in range(40)]
CONTAINER = "0 100000 65536\n"
ALONE = "0 0 1\n"


def of(first: int) -> set[int]:
    """Return all ids of a hub."""
    return set(range(first, first + users.PER_HUB))


def give_out(ranges: tuple[range, ...]) -> None:
    """Have this process give out ids of these ranges alone."""
    vars(users)["_RANGES"] = ranges


def in_user_namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    map_file = tmp_path / "map"
    map_file.write_text(text)
    monkeypatch.setattr(users, "_MAPS", (str(map_file), str(map_file)))


def test_a_hub_keeps_its_ids_until_it_is_gone(tmp_path: Path) -> None:
    first = users.first(tmp_path, HUBS[0])
    assert users.first(tmp_path, HUBS[0]) == first
    assert of(first).isdisjoint(of(users.first(tmp_path, HUBS[1])))
    assert (tmp_path / "users.json").stat().st_mode & 0o777 == 0o600
    users.forget(tmp_path, [HUBS[0]])
    assert HUBS[0] not in (tmp_path / "users.json").read_text()
    assert HUBS[1] in (tmp_path / "users.json").read_text()


def test_ids_are_none_that_somebody_else_gives_out(tmp_path: Path) -> None:
    ids = {number for hub in HUBS for number in of(users.first(tmp_path, hub))}
    assert len(ids) == len(HUBS) * users.PER_HUB
    # Accounts and subordinate ids end below 600,100,000 (login.defs(5)), containers of systemd's at 0x6FFFFFFF.
    assert min(ids) > 0x6FFFFFFF
    assert max(ids) < 2**31 - 1


def test_hubs_whose_names_lead_to_the_same_ids_share_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ranges = (range(70_000, 70_000 + users.PER_HUB * len(HUBS), users.PER_HUB),)
    monkeypatch.setattr(users, "_RANGES", ranges)  # and so in each of the processes
    # Not forked: the children would share this process's pipes and database connections, and locks of its threads.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, spawn, give_out, (ranges,)) as pool:
        found = list(pool.map(functools.partial(users.first, tmp_path), HUBS))
    assert len(set(found)) == len(HUBS)
    assert [users.first(tmp_path, hub) for hub in HUBS] == found
    with pytest.raises(AgentError, match="no free user ids"):
        users.first(tmp_path, "one-more")


def test_an_account_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody").pw_uid
    ids = range(account - 2, account - 2 + 2 * users.PER_HUB, users.PER_HUB)
    monkeypatch.setattr(users, "_RANGES", (ids,))
    assert users.first(tmp_path, HUBS[0]) == ids[1]


def test_a_container_has_fewer_ids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_user_namespace(monkeypatch, tmp_path, CONTAINER)
    found = [users.first(tmp_path, hub) for hub in HUBS]
    assert len(set(found)) == len(HUBS)
    assert 60_577 < min(found) <= max(found) < 61_184 - users.PER_HUB


def test_where_root_is_the_only_user_there_is_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_user_namespace(monkeypatch, tmp_path, ALONE)
    assert users.first(tmp_path, HUBS[0]) == 0
    assert not (tmp_path / "users.json").exists()


@contextmanager
def process_of(user: int) -> Iterator[subprocess.Popen[str]]:
    """A process of a user's, which may not be looked into, and whose name is no daemon's."""
    hidden = (
        "import ctypes, signal, time; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        ["/usr/bin/python3", "-I", "-c", hidden],
        user=user,
        group=user,
        extra_groups=[],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's id")
def test_an_id_that_a_process_still_has_is_given_to_no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ids = range(2_100_000_000, 2_100_000_000 + 2 * users.PER_HUB, users.PER_HUB)
    monkeypatch.setattr(users, "_RANGES", (ids,))
    with process_of(ids[0] + 3), process_of(ids[1]), pytest.raises(AgentError, match="no free user ids"):
        users.first(tmp_path, HUBS[0])
    assert users.first(tmp_path, HUBS[0]) in ids


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's id")
def test_every_process_of_a_hub_ends_with_it_whatever_it_calls_itself(tmp_path: Path) -> None:
    user = users.first(tmp_path, HUBS[0])
    assert list(users.known(tmp_path, HUBS[0])) == sorted(of(user))
    with process_of(user + 2) as left, process_of(user + users.PER_HUB) as other:
        assert processes.end_users(users.known(tmp_path, HUBS[0]))
        assert left.wait(30) == -signal.SIGKILL
        assert other.poll() is None, "another hub's"
    assert not processes.end_users(users.known(tmp_path, HUBS[0]))
    assert not processes.end_users(users.known(tmp_path, HUBS[1])), "a hub without ids has no processes: not root's"
