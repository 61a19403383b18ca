"""Peers that change their protocol: both ways in are open until the new one is used, then the old one is shut for good.

What is remembered of each in `moves.json`, by the peer's id:

    {"mark": "openvpn <key>", "since": 1700000000.5, "over": false, "shut": ["wireguard <key>"]}

The mark names one change and no other: the new protocol, and the key of the side that is WireGuard's, which is fresh
with every change. A spec may go on naming the old way in after it was shut, until the portal has seen that the new one
is used; and what is saved may go on naming it where a newer spec could not be applied. So nothing is forgotten here,
and what was shut before a newer change is remembered with that (`shut`): saving a spec drops those peers of which it
says no more that they change (see State).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from vpn.agent import wireguard
from vpn.agent.memory.names import LISTENERS, Names
from vpn.agent.memory.saved import Change
from vpn.agent.memory.state import State
from vpn.agent.openvpn.layout import Layout
from vpn.agent.wireguard import uapi
from vpn.wire.peers import OPENVPN, OpenVPNPeer, Peer, wireguard_side

WIREGUARD: Final = "wireguard"
_Moves = dict[str, Any]


def expect(state: State, hub: str, peers: Mapping[str, Peer]) -> None:
    """Write down which of these peers change protocol, and from when on the new one counts."""
    before = state.moves(hub)
    moves = dict(before)
    for peer_id, peer in peers.items():
        if peer.former is None:
            continue
        move, mark = before.get(peer_id, {}), _mark(peer)
        if mark != move.get("mark") and mark not in _shut_marks(move):
            moves[peer_id] = {"mark": mark, "since": time.time(), "over": False, "shut": _shut_marks(move)}
    if moves != before:
        state.save_moves(hub, moves)


def open_ways(state: State, hub: str, peers: Mapping[str, Peer]) -> dict[str, Peer]:
    """Return a hub's peers without the ways in that are shut."""
    moving = {peer_id: peer for peer_id, peer in peers.items() if peer.former is not None}
    return dict(peers) | _shut(state, hub, moving) if moving else dict(peers)


def open_ways_of(state: State, hub: str, change: Change) -> Change:
    """Return a change without the ways in that are shut, before and after."""
    old, new = (_shut(state, hub, peers) for peers in change.sides())
    return Change({peer_id: (old.get(peer_id), new.get(peer_id)) for peer_id in change.peers})


def arrived(state: State, names: Names) -> set[str]:
    """Return which peers are there over their new protocol, while the old way in is still open.

    This is asked many times a minute, so only small files are read while no peer changes its protocol.
    """
    waiting = {peer_id: move for peer_id, move in state.moves(names.hub).items() if not move["over"]}
    if not waiting:
        return set()
    layout = Layout(state.openvpn(names.hub))
    over_wireguard = {peer_id for peer_id, move in waiting.items() if move["mark"].startswith(WIREGUARD)}
    handshakes = _handshakes(names) if over_wireguard else {}
    found = set()
    for peer_id, move in waiting.items():
        if peer_id in over_wireguard:
            at: float = handshakes.get(move["mark"].partition(" ")[2], 0) + 1  # it tells whole seconds
        else:
            at = max(_written(layout.shown / f"{peer_id}.{names.openvpn(listener)}") for listener in LISTENERS)
        if at >= move["since"]:
            found.add(peer_id)
    return found


def shut(state: State, hub: str, peers: Mapping[str, Peer], arrived: Collection[str]) -> Change:
    """Shut the old way in of those who have arrived; return what that changes."""
    moves = state.moves(hub)
    there = {peer_id: peers[peer_id] for peer_id in arrived if peer_id in peers}
    ending = {
        peer_id: peer
        for peer_id, peer in there.items()
        if peer.former is not None and moves.get(peer_id, {}).get("mark") == _mark(peer)
    }
    before = _shut(state, hub, ending)
    for peer_id in ending:
        moves[peer_id]["over"] = True
    if ending:
        state.save_moves(hub, moves)
    after = _shut(state, hub, ending)
    return Change({peer_id: (before[peer_id], after[peer_id]) for peer_id in ending})


def _shut(state: State, hub: str, peers: Mapping[str, Peer]) -> dict[str, Peer]:
    moves = state.moves(hub)
    return {
        peer_id: replace(peer, former=None)
        if peer.former is not None and _mark(peer) in _shut_marks(moves.get(peer_id, {}))
        else peer
        for peer_id, peer in peers.items()
    }


def _shut_marks(move: _Moves) -> list[str]:
    return [*move.get("shut", []), *([move["mark"]] if move.get("over") else [])]


def _mark(peer: Peer) -> str:
    side = wireguard_side(peer)
    return f"{OPENVPN if isinstance(peer, OpenVPNPeer) else WIREGUARD} {side.public_key if side else ''}"


def _handshakes(names: Names) -> dict[str, int]:
    heard = uapi.heard(names.wireguard)
    if heard is not None:
        return {key: peer.latest_handshake for key, peer in heard.items()}
    device = wireguard.observe(names)
    return {key: peer.latest_handshake for key, peer in device.peers.items()} if device else {}


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
