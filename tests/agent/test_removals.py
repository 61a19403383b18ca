"""A removed peer stays out whatever is under way on its hub, and a later version admits it again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.agent import made
from vpn.agent.lifecycle import effective, removals
from vpn.agent.lifecycle.apply import apply_delta
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.saved import Saved
from vpn.agent.memory.state import State
from vpn.agent.system import files
from vpn.agent.system.command import Netns
from vpn.agent.system.lock import BusyError, hub_lock
from vpn.wire.delta import HubDelta, parse_delta
from vpn.wire.documents import SpecDocument
from vpn.wire.errors import BASE_MISMATCH, BUSY, DISK_FULL, AgentError
from vpn.wire.spec import parse_spec

ONE, TWO, THREE = (made.peer_id(number) for number in (1, 2, 3))
Ended = list[tuple[set[str], set[str]]]


def key(number: int) -> str:
    return made.key(f"public {number}")


def version(number: int, *peers: int, **changes: Any) -> SpecDocument:
    return made.spec(*peers, generation=number, **changes)


def removal(number: int, *peers: str) -> HubDelta:
    """A delta that removes peers, with the base of a server that has confirmed nothing since."""
    document = made.delta(version(1, 1, 2), version(number, 2))
    return parse_delta({**document, "remove": list(peers or [ONE])})


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """An agent with version 1 of a hub, which has two peers."""
    found = Host(Netns(None), State(tmp_path))
    found.state.save(Saved.of(parse_spec(version(1, 1, 2))))
    return found


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Ended:
    """What was ended: public keys and names of peers."""
    found: Ended = []

    def end(_hub: object, public_keys: Any, names: Any) -> bool:
        found.append((set(public_keys), set(names)))
        return True

    monkeypatch.setattr(removals, "_end_access", end)
    return found


def admitted(host: Host, document: SpecDocument) -> set[str]:
    return set(effective.of_spec(host.state, parse_spec(document), time.time()).peers)


def prepare(host: Host, document: SpecDocument) -> None:
    """Begin to apply a spec."""
    spec = parse_spec(document)
    host.state.prepare(Saved.of(spec))
    host.state.unsettle(spec.hub, spec.version)


def refusal(host: Host, delta: HubDelta) -> AgentError:
    """The answer to a delta that is sent ahead while another process changes the hub."""
    with hub_lock(host.state.directory, made.HUB):
        held = host.state.directory / "locks" / f"{made.HUB}.lock"
        assert held.exists()
        return _refused_elsewhere(host, delta)


def _refused_elsewhere(host: Host, delta: HubDelta) -> AgentError:
    from concurrent.futures import ThreadPoolExecutor

    # A lock may be taken again by the thread that has it.
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(apply_delta, host, delta, ahead=True).exception(60)
    assert isinstance(error, AgentError)
    return error


def test_a_busy_hub_loses_the_peer_at_once_and_no_older_spec_brings_it_back(host: Host, ended: Ended) -> None:
    prepare(host, version(2, 1, 2, 3))
    assert refusal(host, removal(3)).code == BUSY
    assert ended == [({key(1)}, {ONE})]
    assert admitted(host, version(2, 1, 2, 3)) == {TWO, THREE}
    assert admitted(host, version(3, 1)) == {ONE}, "a version that knows of the removal decides by itself"
    again = Host(Netns(None), State(host.state.directory))
    assert admitted(again, version(1, 1, 2)) == {TWO}, "an agent that starts again remembers"


def test_the_memory_ends_with_the_version_that_removes(host: Host, ended: Ended) -> None:
    prepare(host, version(2, 1, 2))
    refusal(host, removal(3))
    refusal(host, removal(5, TWO))
    host.state.save(Saved.of(parse_spec(version(2, 1, 2))))
    assert host.state.removals(made.HUB).pending() == {ONE: (1, 3), TWO: (1, 5)}
    host.state.save(Saved.of(parse_spec(version(3, 2))))
    assert host.state.removals(made.HUB).pending() == {TWO: (1, 5)}
    host.state.save(Saved.of(parse_spec(version(1, epoch=2))))
    assert host.state.removals(made.HUB).pending() == {}
    assert not (host.state.directory / made.HUB / "removals.json").exists()


def test_a_peer_that_the_spec_under_way_brings_is_ended_too(host: Host, ended: Ended) -> None:
    renewed = version(2, 1, 2, 3)
    renewed["peers"][ONE]["public_key"] = made.key("renewed")  # type: ignore[typeddict-unknown-key]
    prepare(host, renewed)
    assert refusal(host, removal(3, ONE, THREE)).code == BUSY
    assert ended == [({key(1), made.key("renewed"), key(3)}, {ONE, THREE})]


@pytest.mark.parametrize("number", [3, 4])
def test_a_removal_from_before_does_not_end_who_is_admitted_again(host: Host, ended: Ended, number: int) -> None:
    prepare(host, version(number, 1, 2))
    assert isinstance(refusal(host, removal(3)), BusyError)
    host.state.save(Saved.of(parse_spec(version(number, 1, 2))))
    host.state.settle(made.HUB)
    assert isinstance(refusal(host, removal(3)), BusyError)
    assert ended == []
    assert host.state.removals(made.HUB).pending() == {}


def test_an_agent_killed_before_it_forgot_a_removal_keeps_nobody_out(host: Host, ended: Ended) -> None:
    host.state.save(Saved.of(parse_spec(version(3, 1, 2))))
    with host.state.removals(made.HUB).lock():
        host.state.removals(made.HUB).add([ONE], (1, 3))
        host.state.removals(made.HUB).add([TWO], (1, 4))
    with removals.changing(host, made.HUB):
        assert host.state.removals(made.HUB).pending() == {TWO: (1, 4)}
    assert {name for _, names in ended for name in names} == {TWO}


def test_a_key_that_a_new_peer_has_keeps_its_session(host: Host, ended: Ended) -> None:
    before, after = parse_spec(version(1, 1, 2)), version(2, 2, 3)
    after["peers"][THREE]["public_key"] = key(1)  # type: ignore[typeddict-unknown-key]
    removals.remove_first(host.hub(made.HUB), before, parse_spec(after))
    assert ended == [(set(), {ONE})]


def test_a_delta_with_another_base_has_removed_its_peers_when_it_is_refused(host: Host, ended: Ended) -> None:
    other = parse_delta(made.delta(version(1, 1, 2, 3), version(3, 2, 3)))
    with pytest.raises(AgentError) as refused:
        apply_delta(host, other)
    assert refused.value.code == BASE_MISMATCH
    assert ended[0] == ({key(1)}, {ONE})
    assert admitted(host, version(2, 1, 2)) == {TWO}


def test_a_killed_agents_spec_keeps_nobody_in(host: Host, ended: Ended) -> None:
    """It had begun with the version that removes the peer, and what it did is not known."""
    prepare(host, version(3, 2))
    with pytest.raises(AgentError) as refused:
        apply_delta(host, removal(3))
    assert refused.value.code == BASE_MISMATCH
    assert ended[0] == ({key(1)}, {ONE})


@pytest.mark.parametrize("base", [1, 2])
def test_a_peer_is_removed_before_an_agent_that_has_just_begun_loads_the_spec(
    host: Host, ended: Ended, monkeypatch: pytest.MonkeyPatch, base: int
) -> None:
    class LoadingError(Exception):
        """The spec is being loaded."""

    def load(_state: State, _hub: str) -> None:
        raise LoadingError

    again = Host(Netns(None), State(host.state.directory))
    monkeypatch.setattr(State, "load", load)
    delta = parse_delta(made.delta(version(base, 1, 2), version(3, 2)))
    with pytest.raises(LoadingError if base == 1 else AgentError):
        apply_delta(again, delta)
    assert ended[0] == ({key(1)}, {ONE})
    assert set(again.state.removals(made.HUB).pending()) == ({ONE} if base == 2 else set())


def test_a_full_disk_keeps_nobody_in(host: Host, ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise AgentError(DISK_FULL, "")

    prepare(host, version(2, 1, 2))
    monkeypatch.setattr(files, "replace", full)
    assert isinstance(refusal(host, removal(3)), BusyError)
    assert ended == [({key(1)}, {ONE})], "it is not remembered, so the portal asks again"


def test_a_hub_that_is_being_destroyed_is_not_made_again(host: Host, ended: Ended) -> None:
    host.state.forget(made.HUB)
    assert isinstance(refusal(host, removal(3)), BusyError)
    assert not (host.state.directory / made.HUB).exists()
    assert ended == []


def test_deltas_since_the_spec_count(host: Host, ended: Ended) -> None:
    saved = host.state.load(made.HUB)
    assert saved is not None
    for before, after in ((version(1, 1, 2), version(2, 1, 2, 3)), (version(2, 1, 2, 3), version(3, 1, 3))):
        delta = parse_delta(made.delta(before, after))
        saved.advance(delta, saved.change(delta))
        host.state.save_delta(saved, delta)
    found = host.state.removals(made.HUB).saved()
    assert found is not None
    assert (found[0], set(found[1])) == ((1, 3), {ONE, THREE})
    assert host.state.removals(made.HUB).keys_of({ONE, TWO, THREE}) == {key(1), key(3)}


def test_both_connections_of_a_peer_that_switches_are_ended(host: Host) -> None:
    document = version(1, 2, openvpn=made.openvpn())
    document["peers"][ONE] = made.openvpn_peer(1) | {"former": made.peer(1)}
    host.state.save(Saved.of(parse_spec(document)))
    assert host.state.removals(made.HUB).keys_of({ONE}) == {key(1)}


def test_who_expires_while_the_hub_is_busy_is_ended_unless_the_spec_under_way_gives_more_time(
    host: Host, ended: Ended
) -> None:
    now = int(time.time())
    document = version(2, 1, 2, 3)
    for peer_id in (ONE, TWO):
        document["peers"][peer_id]["expires_at"] = now - 1
    host.state.save(Saved.of(parse_spec(document)))
    host.state.save_due(made.HUB, now - 1)
    later = version(3, 1, 2, 3)
    later["peers"][ONE]["expires_at"] = now - 1
    prepare(host, later)
    removals.remove_expired(host, made.HUB, now)
    assert ended == [({key(1)}, {ONE})]
    host.state.unsettle(made.HUB, (1, 4))
    removals.remove_expired(host, made.HUB, now)
    assert len(ended) == 1, "what a delta says is not known before it is applied"
    host.state.unsettle(made.HUB)
    removals.remove_expired(host, made.HUB, now)
    assert ended[1] == ({key(1), key(2)}, {ONE, TWO})
