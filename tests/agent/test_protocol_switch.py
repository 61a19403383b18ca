"""A peer that switches protocol has two connections until it uses the new one; a closed one stays closed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.agent import made
from vpn.agent.lifecycle import effective, protocol_switch
from vpn.agent.memory.names import Names
from vpn.agent.memory.saved import Change, Saved
from vpn.agent.memory.state import State
from vpn.agent.openvpn.layout import Layout
from vpn.agent.system.command import Netns
from vpn.wire.digests import digest
from vpn.wire.errors import INVALID, AgentError
from vpn.wire.peers import Peer, openvpn_side, wireguard_side
from vpn.wire.spec import parse_spec

ONE = made.peer_id(1)
NOW = 1_000_000.0
NAMES = Names(made.HUB, Netns("nowhere"))


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "hub")


def document(peer: Any) -> Any:
    return made.spec(2, openvpn=made.openvpn()) | {"peers": {ONE: peer}}


def to_openvpn(number: int = 1) -> Any:
    return made.openvpn_peer(1, "10.1.0.0/24") | {"former": wireguard(number)}


def wireguard(number: int = 1) -> Any:
    peer = made.peer(1, "10.1.0.0/24")
    peer["public_key"] = made.key(f"public {number}")
    return peer


def peers(peer: Any) -> dict[str, Peer]:
    return parse_spec(document(peer)).peers


def came_over_openvpn(state: State, listener: str = "udp") -> None:
    layout = Layout(state.openvpn(made.HUB))
    layout.shown.mkdir(parents=True, exist_ok=True)
    (layout.shown / f"{ONE}.{NAMES.openvpn(listener)}").write_text("1 2")


def test_a_spec_says_what_a_peer_was_before() -> None:
    for peer in (to_openvpn(), wireguard() | {"former": made.openvpn_peer(1, "10.1.0.0/24")}):
        spec = parse_spec(document(peer))
        assert spec.document() == document(peer)
        assert digest(document(peer)) == Saved.of(spec).digest != digest(document({**peer, "former": None}))
        assert wireguard_side(spec.peers[ONE]) is not None
        assert openvpn_side(spec.peers[ONE]) is not None


@pytest.mark.parametrize(
    ("peer", "fault"),
    [
        (wireguard() | {"former": wireguard(2)}, "has the same protocol as former"),
        (made.openvpn_peer(1) | {"former": made.openvpn_peer(1)}, "has the same protocol as former"),
        (made.openvpn_peer(1) | {"former": wireguard()}, "has other networks in its former protocol"),
        (to_openvpn() | {"former": wireguard() | {"tags": ["site:x"]}}, "unknown"),
        (wireguard() | {"former": to_openvpn()}, "unknown"),
        (wireguard() | {"former": "nobody"}, "former|object"),
        (to_openvpn() | {"former": wireguard() | {"public_key": "x"}}, "public_key"),
    ],
)
def test_what_cannot_have_been_is_refused(peer: Any, fault: str) -> None:
    with pytest.raises(AgentError, match=fault) as refusal:
        parse_spec(document(peer))
    assert refusal.value.code == INVALID


def test_a_former_key_cannot_be_another_peers() -> None:
    whole = document(to_openvpn(7))
    whole["peers"][made.peer_id(7)] = made.peer(7)
    with pytest.raises(AgentError, match="same public key"):
        parse_spec(whole)


def test_a_former_way_in_needs_its_listener() -> None:
    whole = document(wireguard() | {"former": made.openvpn_peer(1, "10.1.0.0/24")})
    whole["openvpn"] = None
    with pytest.raises(AgentError, match="without a listener"):
        parse_spec(whole)


@pytest.mark.parametrize("listener", ["udp", "tcp", "compat"])
def test_the_old_way_in_is_shut_by_the_first_session_over_the_new_one(state: State, listener: str) -> None:
    came_over_openvpn(state, listener)  # a connection from before the switch does not count
    before = peers(to_openvpn())
    layout = Layout(state.openvpn(made.HUB))
    (shown,) = layout.shown.iterdir()
    os.utime(shown, (1, 1))
    protocol_switch.record(state, made.HUB, before)
    assert protocol_switch.without_closed(state, made.HUB, before) == before
    assert protocol_switch.connected_over_new(state, NAMES) == set()
    came_over_openvpn(state, listener)
    assert protocol_switch.connected_over_new(state, NAMES) == {ONE}
    change = protocol_switch.close_former(state, made.HUB, before, {ONE})
    assert change == Change({ONE: (before[ONE], peers(made.openvpn_peer(1, "10.1.0.0/24"))[ONE])})
    assert protocol_switch.connected_over_new(state, NAMES) == set()
    # Whatever else changes in the peer, the connection stays closed until it switches protocol again.
    tagged = peers(to_openvpn() | {"tags": ["site:00000000-0000-0000-0000-000000000001"]})
    assert protocol_switch.without_closed(state, made.HUB, tagged)[ONE].former is None
    followed = effective.of_change(state, made.HUB, Change({ONE: (before[ONE], tagged[ONE])}), NOW)
    assert [peer.former for peer in followed.peers[ONE] if peer is not None] == [None, None]
    other = peers(to_openvpn(2))
    changed = effective.of_change(state, made.HUB, Change({ONE: (tagged[ONE], other[ONE])}), NOW)
    assert changed.peers[ONE][1] == other[ONE]


def test_a_change_that_is_over_is_forgotten_once_that_is_saved(state: State) -> None:
    moving = peers(to_openvpn())
    settled = peers(made.openvpn_peer(1, "10.1.0.0/24"))
    for after in (settled, {}):
        state.save(Saved.of(parse_spec(document(to_openvpn()))))
        protocol_switch.record(state, made.HUB, moving)
        protocol_switch.record(state, made.HUB, after)
        change = Change({ONE: (moving[ONE], after.get(ONE))})
        assert effective.of_change(state, made.HUB, change, NOW) == change
        assert state.protocol_switches(made.HUB).keys() == {ONE}
        state.save(Saved.of(replace(parse_spec(document(to_openvpn())), peers=after)))
        assert state.protocol_switches(made.HUB) == {}


@pytest.mark.parametrize(
    "wanted",
    [
        {ONE: made.openvpn_peer(1, "10.1.0.0/24")},
        {ONE: to_openvpn(2)},
        {ONE: wireguard(2) | {"former": made.openvpn_peer(1, "10.1.0.0/24")}},
        {},
    ],
    ids=["settled", "changed anew", "changed back", "removed"],
)
@pytest.mark.parametrize("as_delta", [False, True])
def test_what_is_shut_stays_shut_when_the_next_spec_fails(state: State, wanted: Any, as_delta: bool) -> None:
    saved = parse_spec(document(to_openvpn()))
    state.save(Saved.of(saved))
    protocol_switch.record(state, made.HUB, saved.peers)
    came_over_openvpn(state)
    protocol_switch.close_former(state, made.HUB, saved.peers, {ONE})
    # The next spec is read but cannot be applied: it is never saved, and the watch restores the saved one.
    after = parse_spec(document(to_openvpn()) | {"peers": wanted}).peers
    for _ in range(2):
        if as_delta:
            effective.of_change(state, made.HUB, Change({ONE: (saved.peers[ONE], after.get(ONE))}), NOW)
        else:
            effective.prepare(state, replace(saved, peers=after), NOW)
        assert effective.as_last_applied(state, saved).peers[ONE].former is None
        assert effective.of_spec(state, saved, NOW).peers[ONE].former is None
    # A newer switch still has both connections.
    assert protocol_switch.without_closed(state, made.HUB, after) == after


def test_there_and_back_are_two_changes(state: State) -> None:
    forth = peers(to_openvpn())
    protocol_switch.record(state, made.HUB, forth)
    came_over_openvpn(state)
    protocol_switch.close_former(state, made.HUB, forth, {ONE})
    back = peers(wireguard() | {"former": made.openvpn_peer(1, "10.1.0.0/24")})
    protocol_switch.record(state, made.HUB, back)
    assert protocol_switch.without_closed(state, made.HUB, back) == back
