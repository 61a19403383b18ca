"""What the agent remembers survives crashes at any byte, is private, and costs little to change."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
from pathlib import Path

import pytest

from tests.agent import made
from vpn.agent.memory import state as state_module
from vpn.agent.memory.saved import Saved
from vpn.agent.memory.state import State
from vpn.agent.system import files
from vpn.agent.system.lock import host_lock, hub_lock
from vpn.wire.delta import parse_delta
from vpn.wire.digests import digest
from vpn.wire.documents import SpecDocument
from vpn.wire.errors import DISK_FULL, AgentError
from vpn.wire.spec import parse_spec


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "hub")


def save(state: State, document: SpecDocument) -> None:
    state.save(Saved.of(parse_spec(document)))


def follow(state: State, before: SpecDocument, after: SpecDocument) -> None:
    saved = state.load(made.HUB)
    assert saved is not None
    delta = parse_delta(made.delta(before, after))
    saved.advance(delta, saved.change(delta))
    state.save_delta(saved, delta)


def chain(state: State) -> list[SpecDocument]:
    """Save a spec and four deltas, and return all of their states."""
    documents = [made.spec(*range(number, number + 5), generation=number + 1) for number in range(5)]
    save(state, documents[0])
    for before, after in itertools.pairwise(documents):
        follow(state, before, after)
    return documents


def test_deltas_are_replayed(state: State) -> None:
    documents = chain(state)
    assert (state.directory / made.HUB / "journal").read_text().count("\n") == 4
    for reader in (state, State(state.directory)):
        saved = reader.load(made.HUB)
        assert saved is not None
        assert saved.spec.document() == documents[-1]
        assert saved.digest == digest(documents[-1])


def test_rules_and_policy_are_replayed(state: State) -> None:
    rule = {"id": made.peer_id(9), "action": "drop", "protocol": "tcp", "ports": [22, 22], "source": "any"}
    before = made.spec(1)
    after = made.spec(1, generation=2, forwarding="deny", rules=[{**rule, "destination": "10.1.0.0/24"}])
    last = made.spec(1, generation=3, forwarding="deny")
    save(state, before)
    for old, new in itertools.pairwise((before, after, last)):
        follow(state, old, new)
        saved = State(state.directory).load(made.HUB)
        assert saved is not None
        assert (saved.spec.document(), saved.digest) == (new, digest(new))


def test_a_journal_torn_at_any_byte_ends_at_its_last_whole_line(state: State) -> None:
    documents = chain(state)
    journal = state.directory / made.HUB / "journal"
    spec, whole = (state.directory / made.HUB / "spec.json").read_bytes(), journal.read_bytes()
    for length in range(0, len(whole) + 1, 37):
        (state.directory / made.HUB / "spec.json").write_bytes(spec)
        journal.write_bytes(whole[:length])
        saved = State(state.directory).load(made.HUB)
        assert saved is not None
        lines = whole[:length].count(b"\n")
        assert saved.spec.document() == documents[lines]
        # What comes next stands on whole ground.
        if lines < 4:
            follow(State(state.directory), documents[lines], documents[lines + 1])
            again = State(state.directory).load(made.HUB)
            assert again is not None
            assert again.spec.document() == documents[lines + 1]


def test_a_journal_that_outlived_its_spec_is_skipped(state: State) -> None:
    documents = chain(state)
    journal = (state.directory / made.HUB / "journal").read_bytes()
    save(state, made.spec(30, generation=9))
    (state.directory / made.HUB / "journal").write_bytes(journal)
    saved = State(state.directory).load(made.HUB)
    assert saved is not None
    assert saved.spec.generation == 9
    save(state, documents[-1])
    (state.directory / made.HUB / "journal").write_bytes(journal)
    saved = State(state.directory).load(made.HUB)
    assert saved is not None
    assert saved.spec.document() == documents[-1]


def test_a_long_journal_is_folded_into_the_spec(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "COMPACT_AT", 500)
    documents = chain(state)
    assert (state.directory / made.HUB / "spec.json").read_text() == json.dumps(documents[-1], separators=(",", ":"))
    assert not (state.directory / made.HUB / "journal").exists()
    saved = State(state.directory).load(made.HUB)
    assert saved is not None
    assert saved.spec.document() == documents[-1]


def test_another_agents_writing_is_noticed(state: State) -> None:
    save(state, made.spec(1))
    other = State(state.directory)
    follow(other, made.spec(1), made.spec(1, 2, generation=2)) if other.load(made.HUB) else None
    saved = state.load(made.HUB)
    assert saved is not None
    assert saved.spec.generation == 2


def test_clashing_peers_leave_the_saved_state_alone(state: State) -> None:
    save(state, made.spec(1, 2))
    saved = state.load(made.HUB)
    assert saved is not None
    twin = {**made.peer(3), "public_key": made.peer(2)["public_key"]}
    after = made.spec(1, 2, generation=2)
    after["peers"][made.peer_id(3)] = twin  # type: ignore[assignment]
    delta = parse_delta(made.delta(made.spec(1, 2), after))
    with pytest.raises(AgentError, match="same public key"):
        saved.advance(delta, saved.change(delta))
    assert saved.digest == digest(made.spec(1, 2))
    assert saved.index.keys[made.peer(2)["public_key"]] == made.peer_id(2)
    assert made.peer(3)["allowed_ips"][0] not in saved.index.networks


def test_the_protocol_switches_of_an_agent_before_this_one_are_kept_until_they_change(state: State) -> None:
    former = {"a peer": {"over": False}}
    save(state, made.spec(1))
    old = state.directory / made.HUB / "moves.json"
    old.write_text(json.dumps(former))
    assert state.protocol_switches(made.HUB) == former
    state.save_protocol_switches(made.HUB, {"a peer": {"over": True}})
    assert state.protocol_switches(made.HUB) == {"a peer": {"over": True}}
    assert not old.exists()


def test_damaged_files_are_no_hub(state: State) -> None:
    save(state, made.spec(1))
    for content in ("", "{", "[]", '{"schema": 99}', "null"):
        (state.directory / made.HUB / "spec.json").write_text(content)
        assert state.load(made.HUB) is None


def test_everything_is_private(state: State) -> None:
    chain(state)
    state.save_endpoints(made.HUB, {made.key("a"): ("203.0.113.1:5", True)})
    state.save_fingerprints(made.HUB, {"hub": "x"})
    state.shared.save_fingerprints({"vpnhub": "x"})
    state.shared.save_tombstone("a123456789", (1, 2))
    state.unsettle(made.HUB)
    state.shared.edit_links(lambda links: links.update({made.HUB: 4}))
    with host_lock(state.directory):
        pass
    for path in [state.directory, *state.directory.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert state.endpoints(made.HUB) == {made.key("a"): ("203.0.113.1:5", True)}
    assert state.shared.tombstone("a123456789") == (1, 2)
    assert state.shared.links() == {made.HUB: 4}
    assert state.hubs() == [made.HUB]
    state.forget(made.HUB)
    assert state.hubs() == []


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spec.json"
    files.replace(path, "old")
    files.append_line(tmp_path / "journal", "one")

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    for write, name in ((files.replace, "spec.json"), (files.append_line, "journal")):
        with pytest.raises(AgentError) as failure:
            write(tmp_path / name, "new")
        assert failure.value.code == DISK_FULL
    assert path.read_text() == "old"
    assert (tmp_path / "journal").read_text() == "one\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["journal", "spec.json"]


def test_the_lock_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    with host_lock(tmp_path):
        pass
    with (tmp_path / "host.lock").open() as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        with pytest.raises(AgentError, match="try again later"), host_lock(tmp_path, patience=0.05):
            pass
        with hub_lock(tmp_path, "a", patience=0.05), hub_lock(tmp_path, "b", patience=0.05):
            pass
    with host_lock(tmp_path, patience=0.05), host_lock(tmp_path, patience=0.05):
        pass
    with (tmp_path / "locks" / "a.lock").open() as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        with pytest.raises(AgentError, match="try again later"), hub_lock(tmp_path, "a", patience=0.05):
            pass


def test_two_agents_cannot_wait_for_each_other(tmp_path: Path) -> None:
    with host_lock(tmp_path), pytest.raises(RuntimeError), hub_lock(tmp_path, "a"):
        pass
