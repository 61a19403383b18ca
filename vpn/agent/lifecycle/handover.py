"""Hand a hub over to another server: end it here, forward its ports, and let the present hub call its clients."""

from __future__ import annotations

import time

from vpn.agent import openvpn, wireguard
from vpn.agent.firewall import flows
from vpn.agent.lifecycle import removals
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import forwarded, reconcile_forwarding
from vpn.agent.memory.saved import Saved
from vpn.agent.network import forwarding, namespace
from vpn.agent.network.forwarding import Forwarded
from vpn.agent.system.lock import hub_lock
from vpn.wire import codes
from vpn.wire.errors import STALE, UNKNOWN_HUB, AgentError
from vpn.wire.forwarding import MOST_CLIENTS, Forwarding, Handover


def hand_over(host: Host, wanted: Forwarding) -> Handover:
    """End the hub up to `wanted.version`, and forward its ports; return what the present hub needs.

    What is left of the hub is removed by `destroy`. May be repeated. Raises AgentError `stale` if the hub is newer.
    """
    shared, hub = host.state.shared, wanted.hub
    with hub_lock(host.state.directory, hub):
        saved = host.state.load(hub)
        if saved is not None and saved.spec.version > wanted.version:
            message = "The hub has a newer configuration than the one that is to be handed over."
            raise AgentError(STALE, message, codes.HUB_NEWER.of())
        names, before = host.names(hub), forwarded(host).get(hub)
        clients = dict(before.clients) if before is not None else {}
        clients |= _clients(host, hub, clients)
        connections = flows.established(names.inside) if namespace.exists(names.netns) else []
        # From here on, neither a late request nor `watch` brings the hub back.
        shared.save_tombstone(hub, max(wanted.version, shared.tombstone(hub) or wanted.version))
        shared.save_forwarded(hub, Forwarded(wanted, clients).document())
        # New connections are translated from here on, those from before once they are forgotten.
        reconcile_forwarding(host)
        # Its clients are told to connect again, which takes a second, so WireGuard goes on meanwhile.
        told, sessions = time.monotonic(), _sessions(host, saved)
        openvpn.remove(host.hub(hub))
        ended = time.monotonic()
        wireguard.remove(host.hub(hub))
        forwarding.end_flows(host.netns, wanted)
        endpoints = Forwarded(wanted, clients).endpoints()
        now = time.monotonic()
        return Handover(endpoints, sessions, tuple(connections), now - ended, now - told)


def greet(host: Host, hub: str, handover: Handover) -> int:
    """Let a hub that took over from another server call its clients; return the number of those that it knows."""
    with removals.changing(host, hub):
        if host.state.load(hub) is None:
            raise AgentError(UNKNOWN_HUB, "This server has no such hub.", codes.HUB_UNKNOWN.of())
        names = host.names(hub)
        flows.add(names.inside, handover.flows)
        return wireguard.call(names, handover.endpoints)


def end_forwarding(host: Host, hub: str) -> None:
    """Forward the hub's ports no more. Calling it twice is harmless."""
    before = forwarded(host).get(hub)
    host.state.shared.save_forwarded(hub, None)
    reconcile_forwarding(host)
    if before is not None:
        forwarding.end_flows(host.netns, before.forwarding)


def packets(host: Host, hub: str) -> int:
    """Return the number of packets that were forwarded. Raises AgentError `unknown-hub` if nothing is."""
    counted = forwarding.packets(host.netns, hub) if hub in forwarded(host) else None
    if counted is None:
        raise AgentError(UNKNOWN_HUB, "This server does not forward that hub.", codes.HUB_UNKNOWN.of())
    return counted


def _sessions(host: Host, saved: Saved | None) -> tuple[str, ...]:
    """Return the ids of the peers that are connected over OpenVPN."""
    if saved is None or saved.spec.openvpn is None:
        return ()
    hub = saved.spec.hub
    return tuple(openvpn.reports(host.names(hub), saved.spec, host.state.openvpn(hub)))


def _clients(host: Host, hub: str, known: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Return by public key the connected WireGuard clients, each with a port of this server."""
    connected = wireguard.connected(host.names(hub))
    taken = {port for one in forwarded(host).values() for _, port in one.clients.values()}
    found = dict(list(connected.items())[: MOST_CLIENTS - len(known.keys() - connected.keys())])
    return forwarding.with_ports(found, taken)
