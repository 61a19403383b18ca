"""Incremental apply: change only what a delta names, assuming that the hub matches its saved state."""

from __future__ import annotations

from collections.abc import Mapping

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.firewall import limits
from vpn.agent.firewall.nesting import without
from vpn.agent.lifecycle import effective, health, trials
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.reconcile import reconcile
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.saved import Change
from vpn.agent.network import routing
from vpn.wire.intervals import is_single
from vpn.wire.peers import Peer, uses_exit
from vpn.wire.reserved import BROAD_PREFIX
from vpn.wire.spec import HubSpec


def apply_change(
    host: Host,
    spec: HubSpec,
    change: Change,
    now: float,
    *,
    is_known: bool = True,
    rules_changed: bool = False,
) -> dict[str, bool]:
    """Bring the hub to `spec`, the result of `change`: incrementally if possible, else by comparing everything.

    `now` is the time at which expired peers were left out of `change`. `is_known`: the hub matches its saved state,
    except for early removals. `rules_changed`: firewall rules or the policy have changed too.
    """
    hub = host.hub(spec.hub)
    has_removals = bool(host.state.removals(spec.hub).pending())
    is_known = is_known and not has_removals and not trials.is_due(host.state, spec.hub)
    if not is_known or not _is_small(change) or not health.is_alive(hub):
        changed = reconcile(host, spec)
        firewall.end_flows(hub.names, lost_networks(*change.sides(), spec.peers))
        firewall.end_flows_outside(hub.names, moved_clients(*change.sides()))
        return changed
    effective.prepare(host.state, spec, now)
    return apply_incrementally(hub, effective.of_spec(host.state, spec, now), change, rules_changed=rules_changed)


def apply_incrementally(hub: Hub, spec: HubSpec, change: Change, *, rules_changed: bool = False) -> dict[str, bool]:
    """Apply `change`, whose result is `spec`, assuming that the hub matches its saved state."""
    old, new = change.sides()
    # The firewall first: before new peers can send, and while removed peers still can.
    changed = {"firewall": firewall.ensure(hub, spec) if rules_changed else firewall.change(hub, spec, old, new)}
    # Not reported separately: the limits change with the routes.
    limits.change(hub, spec, old, new)
    changed["wireguard"] = wireguard.change(hub, spec, old, new)
    changed["openvpn"] = openvpn.change(hub, spec, old, new)
    changed["routing"] = routing.change(hub.names, old.values(), new.values())
    if routing.routes_of(old) != routing.routes_of(new) and firewall.depends_on_interfaces(spec):
        firewall.reevaluate_flows(hub, spec)
    firewall.end_flows(hub.names, lost_networks(old, new, spec.peers))
    # After the removals: a full disk must not keep a removed peer connected.
    hub.save_fingerprints()
    changed["dns"] = dns.change(hub, spec, old, new)
    return changed


def lost_networks(before: Mapping[str, Peer], after: Mapping[str, Peer], peers: Mapping[str, Peer]) -> set[str]:
    """Return the networks that peers have lost, without the parts that one of `peers` has now."""
    kept = {peer_id: set(peer.networks) for peer_id, peer in after.items()}
    lost = {
        network
        for peer_id, peer in before.items()
        for network in peer.networks
        if network not in kept.get(peer_id, ()) and not _is_broad(network)
    }
    return without(lost, peers.values())


def moved_clients(before: Mapping[str, Peer], after: Mapping[str, Peer]) -> set[str]:
    """Return the addresses of clients that now leave through another exit: their flows outside cannot go on there."""
    moved = [peer for peer_id, peer in after.items() if peer_id in before and before[peer_id].exit != peer.exit]
    return {network for peer in moved for network in peer.networks if is_single(network)}


def _is_broad(network: str) -> bool:
    """Return True if a network is so wide that it may contain flows of other peers, even the pool."""
    return int(network.partition("/")[2]) < BROAD_PREFIX[6 if ":" in network else 4]


def _is_small(change: Change) -> bool:
    """Return True if the change can be applied incrementally."""
    # Without a site's default route, traffic leaves through the host: this needs all routes.
    peers = [peer for pair in change.peers.values() for peer in pair if peer is not None]
    if uses_exit(peers):
        return False
    return not any(default in peer.routes for peer in peers for default in routing.DEFAULTS.values())
