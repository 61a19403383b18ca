"""What `watch` has read is read again when a file was replaced, and not before."""

from __future__ import annotations

import os
import time
from pathlib import Path

from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.pending import Pending
from vpn.agent.memory.state import State
from vpn.agent.system import files, stamps
from vpn.agent.system.command import Netns


def age(path: Path, seconds: float = 10.0) -> None:
    """Make a directory one that has not changed for a while."""
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_stamp_changes_with_the_entries_of_a_directory(tmp_path: Path) -> None:
    paths = [str(tmp_path), str(tmp_path / "missing")]
    assert stamps.of(paths) is None, "what changes now may change once more, unseen"
    age(tmp_path)
    before = stamps.of(paths)
    assert before is not None
    assert stamps.of(paths) == before
    for number, change in enumerate(((tmp_path / "missing").mkdir, (tmp_path / "missing").rmdir)):
        change()
        age(tmp_path, number + 1)
        if (tmp_path / "missing").exists():
            age(tmp_path / "missing")
        assert stamps.of(paths) not in (None, before)


def test_an_expiry_is_noticed_that_was_written_meanwhile(tmp_path: Path) -> None:
    state = State(tmp_path)
    pending = Pending(Host(Netns("host"), state))
    directory = tmp_path / "hub"
    files.private_directory(directory)
    age(directory)
    assert not pending.expires("hub")
    state.save_due("hub", int(time.time()) - 1)
    assert pending.expires("hub")
    age(directory)
    assert pending.expires("hub")
    state.save_due("hub", None)
    assert not pending.expires("hub")


def test_a_protocol_switch_is_noticed_that_was_written_meanwhile(tmp_path: Path) -> None:
    state = State(tmp_path)
    pending = Pending(Host(Netns("host"), state))
    directory = tmp_path / "hub"
    files.private_directory(directory)
    age(directory)
    assert not pending.switches("hub")
    for is_over in (False, True):
        state.save_protocol_switches("hub", {"peer": {"mark": "openvpn key", "since": 1.0, "over": is_over}})
        assert pending.switches("hub") is not is_over
        age(directory)
        assert pending.switches("hub") is not is_over
