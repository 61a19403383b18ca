"""Protocol switch: a peer may use both protocols until it connects over the new one; then the former one is closed.

`protocol_switches.json` contains for each such peer, by its id:

    {"mark": "openvpn <key>", "since": 1700000000.5, "over": false, "shut": ["wireguard <key>"]}

`mark` identifies the switch: the new protocol and the WireGuard key, which is new for each switch. `over` is true once
the former connection is closed. `shut` lists earlier switches that were closed. A spec may still contain a closed
former connection: until the portal has seen the new one, or if a newer spec could not be applied. So an entry is
deleted only when a saved spec no longer contains the former connection (see State).
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
_Switch = dict[str, Any]


def record(state: State, hub: str, peers: Mapping[str, Peer]) -> None:
    """Record which of these peers switch protocol, and since when a connection over the new one counts."""
    before = state.protocol_switches(hub)
    switches = dict(before)
    for peer_id, peer in peers.items():
        if peer.former is None:
            continue
        switch, mark = before.get(peer_id, {}), _mark(peer)
        if mark != switch.get("mark") and mark not in _closed_marks(switch):
            switches[peer_id] = {"mark": mark, "since": time.time(), "over": False, "shut": _closed_marks(switch)}
    if switches != before:
        state.save_protocol_switches(hub, switches)


def without_closed(state: State, hub: str, peers: Mapping[str, Peer]) -> dict[str, Peer]:
    """Return a hub's peers without closed former connections."""
    switching = {peer_id: peer for peer_id, peer in peers.items() if peer.former is not None}
    return dict(peers) | _drop_closed(state, hub, switching) if switching else dict(peers)


def change_without_closed(state: State, hub: str, change: Change) -> Change:
    """Return a change without closed former connections on both sides."""
    old, new = (_drop_closed(state, hub, peers) for peers in change.sides())
    return Change({peer_id: (old.get(peer_id), new.get(peer_id)) for peer_id in change.peers})


def waiting(state: State, hub: str) -> dict[str, _Switch]:
    """Return the protocol switches of those peers whose former connection is still open."""
    return {peer_id: switch for peer_id, switch in state.protocol_switches(hub).items() if not switch["over"]}


def connected_over_new(state: State, names: Names) -> set[str]:
    """Return the peers that have connected over their new protocol, while the former connection is still open."""
    open_switches = waiting(state, names.hub)
    if not open_switches:
        return set()
    layout = Layout(state.openvpn(names.hub))
    over_wireguard = {peer_id for peer_id, switch in open_switches.items() if switch["mark"].startswith(WIREGUARD)}
    handshakes = _handshakes(names) if over_wireguard else {}
    found = set()
    for peer_id, switch in open_switches.items():
        if peer_id in over_wireguard:
            at: float = handshakes.get(switch["mark"].partition(" ")[2], 0) + 1  # WireGuard reports whole seconds
        else:
            at = max(_written(layout.shown / f"{peer_id}.{names.openvpn(listener)}") for listener in LISTENERS)
        if at >= switch["since"]:
            found.add(peer_id)
    return found


def close_former(state: State, hub: str, peers: Mapping[str, Peer], connected: Collection[str]) -> Change:
    """Record that the former connections of the `connected` peers are closed; return the resulting change."""
    switches = state.protocol_switches(hub)
    there = {peer_id: peers[peer_id] for peer_id in connected if peer_id in peers}
    ending = {
        peer_id: peer
        for peer_id, peer in there.items()
        if peer.former is not None and switches.get(peer_id, {}).get("mark") == _mark(peer)
    }
    before = _drop_closed(state, hub, ending)
    for peer_id in ending:
        switches[peer_id]["over"] = True
    if ending:
        state.save_protocol_switches(hub, switches)
    after = _drop_closed(state, hub, ending)
    return Change({peer_id: (before[peer_id], after[peer_id]) for peer_id in ending})


def _drop_closed(state: State, hub: str, peers: Mapping[str, Peer]) -> dict[str, Peer]:
    switches = state.protocol_switches(hub)
    return {
        peer_id: replace(peer, former=None)
        if peer.former is not None and _mark(peer) in _closed_marks(switches.get(peer_id, {}))
        else peer
        for peer_id, peer in peers.items()
    }


def _closed_marks(switch: _Switch) -> list[str]:
    return [*switch.get("shut", []), *([switch["mark"]] if switch.get("over") else [])]


def _mark(peer: Peer) -> str:
    side = wireguard_side(peer)
    return f"{OPENVPN if isinstance(peer, OpenVPNPeer) else WIREGUARD} {side.public_key if side else ''}"


def _handshakes(names: Names) -> dict[str, int]:
    heard = uapi.peers(names.wireguard)
    if heard is not None:
        return {key: peer.latest_handshake for key, peer in heard.items()}
    device = wireguard.observe(names)
    return {key: peer.latest_handshake for key, peer in device.peers.items()} if device else {}


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
