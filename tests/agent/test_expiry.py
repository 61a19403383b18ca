"""Which peers exist on the hub, by the clock and by earlier removals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agent import made
from vpn.agent.lifecycle import expiry
from vpn.agent.memory.saved import Change
from vpn.agent.memory.state import State
from vpn.wire.digests import digest
from vpn.wire.errors import AgentError
from vpn.wire.peers import Peer
from vpn.wire.spec import parse_spec

NOW = 1_000_000.0
STAYS, SOON, OVER, LONG_OVER = (made.peer_id(number) for number in range(1, 5))
ENDS = {SOON: 1_000_060, OVER: 999_990, LONG_OVER: 900_000}


@pytest.fixture
def peers() -> dict[str, Peer]:
    document: Any = made.spec(1, 2, 3, 4)
    for peer_id, moment in ENDS.items():
        document["peers"][peer_id]["expires_at"] = moment
    return parse_spec(document).peers


@pytest.fixture
def state(tmp_path: Path) -> State:
    """The state of an agent that has removed all peers that expired at least 100 seconds ago."""
    made_state = State(tmp_path)
    made_state.save_due(made.HUB, ENDS[OVER])
    return made_state


def test_a_moment_survives_the_way_as_it_is() -> None:
    document: Any = made.spec(1)
    plain = digest(document)
    document["peers"][STAYS]["expires_at"] = 1_800_000_000
    assert parse_spec(document).document() == document
    assert digest(document) != plain


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1800000000", True, 2**50])
def test_what_is_no_moment_is_refused(wrong: object) -> None:
    document: Any = made.spec(1)
    document["peers"][STAYS]["expires_at"] = wrong
    with pytest.raises(AgentError, match="expires_at"):
        parse_spec(document)


def test_who_lasts_and_who_is_to_be_ended(state: State, peers: dict[str, Peer]) -> None:
    assert set(expiry.not_expired(peers, NOW)) == {STAYS, SOON}
    assert set(expiry.newly_expired(state, made.HUB, peers, NOW)) == {OVER}, "the other one was removed before"


def test_a_change_leaves_out_who_is_not_there(state: State, peers: dict[str, Peer]) -> None:
    change = Change({peer_id: (peer, peer) for peer_id, peer in peers.items()})
    real = expiry.without_expired(state, made.HUB, change, NOW).peers
    there = {peer_id: (old is not None, new is not None) for peer_id, (old, new) in real.items()}
    assert there == {STAYS: (True, True), SOON: (True, True), OVER: (True, False), LONG_OVER: (False, False)}


def test_the_next_moment_is_remembered(state: State, peers: dict[str, Peer]) -> None:
    expiry.schedule(state, made.HUB, peers, NOW)
    assert state.due(made.HUB) == ENDS[OVER], "one expired peer is not removed yet"
    expiry.reschedule(state, made.HUB, peers, NOW)
    assert state.due(made.HUB) == ENDS[SOON]
    assert not expiry.newly_expired(state, made.HUB, peers, NOW)
    expiry.reschedule(state, made.HUB, {STAYS: peers[STAYS]}, NOW)
    assert state.due(made.HUB) is None
    assert not expiry.is_due(state, made.HUB)
