"""The effective spec, at a given time, and at the last change of the hub."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agent import made
from vpn.agent.lifecycle import effective, protocol_switch
from vpn.agent.memory.saved import Change
from vpn.agent.memory.state import State
from vpn.wire.spec import HubSpec, parse_spec

STAYS, OVER, SWITCHES = (made.peer_id(number) for number in range(1, 4))


@pytest.fixture
def now() -> float:
    return time.time()


@pytest.fixture
def spec(now: float) -> HubSpec:
    document = made.spec(1, 2, openvpn=made.openvpn())
    document["peers"][OVER]["expires_at"] = int(now) - 1
    document["peers"][SWITCHES] = made.openvpn_peer(3) | {"former": made.peer(3)}
    return parse_spec(document)


@pytest.fixture
def state(tmp_path: Path, spec: HubSpec, now: float) -> State:
    """The state of an agent that has admitted the peers of `spec`, and closed the former connection of one of them."""
    found = State(tmp_path)
    effective.prepare(found, spec, now - 60)
    protocol_switch.close_former(found, spec.hub, spec.peers, {SWITCHES})
    return found


def test_a_time_that_is_over_and_a_way_in_that_is_shut_are_left_out(state: State, spec: HubSpec, now: float) -> None:
    peers = effective.of_spec(state, spec, now).peers
    assert peers == {STAYS: spec.peers[STAYS], SWITCHES: replace(spec.peers[SWITCHES], former=None)}


def test_the_hub_was_left_with_a_peer_whose_time_has_just_run_out(state: State, spec: HubSpec) -> None:
    assert effective.as_last_applied(state, spec).peers.keys() == spec.peers.keys()
    assert effective.as_last_applied(state, spec).peers[SWITCHES].former is None


def test_a_change_is_seen_in_the_same_way(state: State, spec: HubSpec, now: float) -> None:
    change = effective.of_change(state, spec.hub, Change({key: (None, peer) for key, peer in spec.peers.items()}), now)
    assert {key: new for key, (_, new) in change.peers.items() if new} == effective.of_spec(state, spec, now).peers


def test_looking_writes_nothing_down(tmp_path: Path, spec: HubSpec, now: float) -> None:
    state = State(tmp_path / "untouched")
    effective.of_spec(state, spec, now)
    effective.as_last_applied(state, spec)
    assert not state.directory.exists()
