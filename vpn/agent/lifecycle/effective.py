"""What is in force of a spec: its peers but those whose time is over, without old ways in that are shut.

The spec that is saved names both until the portal takes them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vpn.agent.lifecycle import expiry, protocol_switch
from vpn.agent.memory.saved import Change
from vpn.agent.memory.state import State
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec


def expect(state: State, spec: HubSpec, now: float) -> None:
    """Write down what is ahead of the peers of `spec`, before they are let in: ends of times, protocol switches."""
    expiry.expect(state, spec.hub, spec.peers, now)
    protocol_switch.expect(state, spec.hub, spec.peers)


def of_spec(state: State, spec: HubSpec, now: float) -> HubSpec:
    """Return `spec` as a hub is to be at `now` (Unix time)."""
    return _with_peers(state, spec, expiry.lasting(spec.peers, now))


def as_left(state: State, spec: HubSpec) -> HubSpec:
    """Return `spec` as the hub was left, to compare with: a time that has just run out may not be ended yet."""
    return _with_peers(state, spec, expiry.there_now(state, spec.hub, spec.peers))


def of_change(state: State, hub: str, change: Change, now: float) -> Change:
    """Return what a change does to a hub at `now` (Unix time), and write down which peers switch protocol in it."""
    protocol_switch.expect(state, hub, change.sides()[1])
    return protocol_switch.open_ways_of(state, hub, expiry.lasting_of(state, hub, change, now))


def _with_peers(state: State, spec: HubSpec, peers: Mapping[str, Peer]) -> HubSpec:
    return replace(spec, peers=protocol_switch.open_ways(state, spec.hub, peers))
