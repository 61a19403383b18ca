"""What a delta says, done: only what it changes is touched, trusting that the hub is as it was saved."""

from __future__ import annotations

from collections.abc import Mapping

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.firewall import limits
from vpn.agent.firewall.nesting import without
from vpn.agent.lifecycle import effective, health
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.reconcile import reconcile
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.saved import Change
from vpn.agent.network import routing
from vpn.wire.peers import Peer
from vpn.wire.reserved import BROAD_PREFIX
from vpn.wire.spec import HubSpec


def apply_change(
    host: Host,
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
    hub = host.hub(spec.hub)
    if not is_known or not _is_small(change) or not health.is_alive(hub):
        changed = reconcile(host, spec)
        firewall.end_flows(hub.names, given_up(*change.sides(), spec.peers))
        return changed
    effective.expect(host.state, spec, now)
    return follow(hub, effective.of_spec(host.state, spec, now), change, is_ruled_anew=is_ruled_anew)


def follow(hub: Hub, spec: HubSpec, change: Change, *, is_ruled_anew: bool = False) -> dict[str, bool]:
    """Do what a delta says, which led to `spec`, trusting that the hub is as it was saved."""
    old, new = change.sides()
    # Before new peers can send, and while removed ones still can.
    changed = {"firewall": firewall.ensure(hub, spec) if is_ruled_anew else firewall.change(hub, spec, old, new)}
    # Not told of: it goes with the routes.
    limits.change(hub, spec, old, new)
    changed["wireguard"] = wireguard.change(hub, spec, old, new)
    changed["openvpn"] = openvpn.change(hub, spec, old, new)
    changed["routing"] = routing.change(hub.names, old.values(), new.values())
    if routing.routes_of(old) != routing.routes_of(new) and firewall.depends_on_interfaces(spec):
        firewall.reevaluate_flows(hub, spec)
    firewall.end_flows(hub.names, given_up(old, new, spec.peers))
    # Last: a full disk must not keep a removed peer connected.
    hub.save_marks()
    changed["dns"] = dns.change(hub, spec, old, new)
    return changed


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
    """Return whether a network covers flows of many peers, even the pool's, and so belongs to no single peer."""
    return int(network.partition("/")[2]) < BROAD_PREFIX[6 if ":" in network else 4]


def _is_small(change: Change) -> bool:
    """Return whether nothing but what a change names has to be looked at."""
    # A default route has a way to fall back to, which takes a look at the whole.
    peers = [peer for pair in change.peers.values() for peer in pair if peer is not None]
    return not any(default in peer.routes for peer in peers for default in routing.DEFAULTS.values())
