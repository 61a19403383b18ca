"""What a delta says, done: only what it changes is touched, trusting that the hub is as it was saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vpn.agent.dns import component as dns
from vpn.agent.firewall import component as firewall
from vpn.agent.firewall import limits
from vpn.agent.firewall.nesting import without
from vpn.agent.lifecycle import effective, health
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.reconcile import reconcile
from vpn.agent.memory.names import Names
from vpn.agent.memory.saved import Change
from vpn.agent.network import routing
from vpn.agent.openvpn import component as openvpn
from vpn.agent.wireguard import component as wireguard
from vpn.wire.peers import by_openvpn, by_wireguard
from vpn.wire.reserved import BROAD_PREFIX
from vpn.wire.spec import HubSpec, Peer


def apply_change(
    host: Host,
    names: Names,
    spec: HubSpec,
    change: Change,
    now: float,
    *,
    is_known: bool = True,
    is_ruled_anew: bool = False,
) -> dict[str, bool]:
    """Bring the hub to `spec`, which `change` led to: by that alone where that is enough.

    `now` is the moment at which peers were left out of `change` for their time; `is_known` says that the hub is as it
    was saved, and `is_ruled_anew` that the rules are others, too.
    """
    if not is_known or not _is_small(change) or not health.is_alive(host, names.hub):
        changed = reconcile(host, spec)
        firewall.cut(names, given_up(*change.sides(), spec.peers))
        return changed
    effective.expect(host.state, spec, now)
    return follow(host, names, effective.of_spec(host.state, spec, now), change, is_ruled_anew=is_ruled_anew)


def follow(host: Host, names: Names, spec: HubSpec, change: Change, *, is_ruled_anew: bool = False) -> dict[str, bool]:
    """Do what a delta says, which led to `spec`, trusting that the hub is as it was saved."""
    old, new = change.sides()
    directory = host.state.openvpn(names.hub)
    marks = host.state.marks(names.hub)
    marked = dict(marks)
    # Before anybody new can send, and while those who may no more still can.
    if is_ruled_anew:
        changed = {"firewall": firewall.ensure(names, spec, marks)}
    else:
        changed = {"firewall": firewall.change(names, spec, old, new, marks)}
    # Not told of: it goes with the routes.
    limits.change(names, spec, old, new)
    changed["wireguard"] = _follow_wireguard(names, old, new)
    if _routes_of(old) != _routes_of(new):
        openvpn.tell(spec, directory)
    before, after = (by_openvpn(peers) for peers in _differing_tunnels(old, new))
    changed["openvpn"] = openvpn.revoke(names, spec, directory)
    changed["openvpn"] |= openvpn.change(names, spec, directory, before, after)
    changed["routing"] = routing.change(names, old.values(), new.values())
    if _routes_of(old) != _routes_of(new) and firewall.minds_ways(spec):
        firewall.judge_again(names, spec, marks)
    firewall.cut(names, given_up(old, new, spec.peers))
    # Last: a disk that is full must not keep anybody in.
    if marks != marked:
        host.state.save_marks(names.hub, marks)
    changed["dns"] = dns.change(names, spec, host.state.dns(names.hub), old, new)
    return changed


def _differing_tunnels(old: Mapping[str, Peer], new: Mapping[str, Peer]) -> tuple[list[Peer], list[Peer]]:
    """Return of both those peers that do not only have other tags and names: no session ends for those."""
    bare = [{key: replace(peer, tags=(), names=()) for key, peer in peers.items()} for peers in (old, new)]
    same = {key for key, peer in bare[0].items() if bare[1].get(key) == peer}
    before, after = ([peer for key, peer in peers.items() if key not in same] for peers in (old, new))
    return before, after


def _routes_of(peers: Mapping[str, Peer]) -> set[tuple[str, str]]:
    return {(peer_id, route) for peer_id, peer in peers.items() for route in peer.routes}


def _follow_wireguard(names: Names, old: Mapping[str, Peer], new: Mapping[str, Peer]) -> bool:
    before, after = by_wireguard(old.values()), by_wireguard(new.values())
    known = {peer.public_key: (peer.preshared_key, set(peer.allowed_ips)) for peer in before}
    upserted = [peer for peer in after if known.get(peer.public_key) != (peer.preshared_key, set(peer.allowed_ips))]
    return wireguard.change(names, known.keys() - {peer.public_key for peer in after}, upserted)


def given_up(before: Mapping[str, Peer], after: Mapping[str, Peer], peers: Mapping[str, Peer]) -> set[str]:
    """Return the networks that a peer had and has no more, without those within them that one of `peers` has."""
    kept = {peer_id: set(peer.networks) for peer_id, peer in after.items()}
    lost = {
        network
        for peer_id, peer in before.items()
        for network in peer.networks
        if network not in kept.get(peer_id, ()) and not _is_broad(network)
    }
    return without(lost, peers.values())


def _is_broad(network: str) -> bool:
    """Return whether a network covers everybody's flows, the pool's even, and so is nobody's own."""
    return int(network.partition("/")[2]) < BROAD_PREFIX[6 if ":" in network else 4]


def _is_small(change: Change) -> bool:
    """Return whether nothing but what a change names has to be looked at."""
    # A default route has a way to fall back to, which takes a look at the whole.
    peers = [peer for pair in change.peers.values() for peer in pair if peer is not None]
    return not any(default in peer.routes for peer in peers for default in routing.DEFAULTS.values())
