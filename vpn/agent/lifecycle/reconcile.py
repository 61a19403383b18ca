"""Comparing a whole hub with what it is to be, and changing only what differs."""

from __future__ import annotations

import time
from typing import Final

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.firewall import host_limits, limits
from vpn.agent.lifecycle import effective, expiry
from vpn.agent.lifecycle.components import COMPONENTS
from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import LINK_COUNT, Link
from vpn.agent.network import egress, namespace, routing, source
from vpn.agent.system.lock import host_lock
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError
from vpn.wire.spec import HubSpec

# The mark that says which families the host had a way out for when the hub's link was set up.
FAMILIES: Final = "families"


def reconcile(host: Host, spec: HubSpec, saved: HubSpec | None = None) -> dict[str, bool]:
    """Compare the hub with `spec`, change what differs, and return which components that was. Needs the hub's lock.

    `saved` is what the hub was to be before, where that is known.
    """
    now, wanted = time.time(), spec
    effective.expect(host.state, spec, now)
    spec = effective.of_spec(host.state, spec, now)
    hub = host.hub(spec.hub)
    changed = {"namespace": _ensure_namespace(host, hub)}
    link = _link(host, spec.hub)
    changed["egress"] = _ensure_way_out(host, hub, spec, link)
    # The rules stand before the first packet can come.
    asking = dns.with_servers_of(spec, saved)
    changed["firewall"] = firewall.ensure(hub, asking)
    changed["firewall"] |= limits.ensure(hub, spec)
    changed["wireguard"] = wireguard.ensure(hub, spec)
    changed["routing"] = routing.ensure(hub.names, spec, link)
    if changed["routing"] and firewall.depends_on_interfaces(spec):
        firewall.reevaluate_flows(hub, spec)
    # After the tunnels: a full disk must not keep a removed peer connected.
    hub.save_marks()
    # Last: a port that is taken must not keep WireGuard's peers apart.
    changed |= ensure_processes(hub, spec)
    if asking is not spec:
        firewall.ensure(hub, spec)
        hub.save_marks()
    expiry.settle(host.state, spec.hub, wanted.peers, now)
    return changed


def _ensure_way_out(host: Host, hub: Hub, spec: HubSpec, link: Link) -> bool:
    host.state.shared.save_source(spec.hub, source.Source.of(spec).document())
    host.state.shared.save_server(spec.hub, spec.server)
    changed = reconcile_host(host)
    families = egress.families(host.place)
    changed |= egress.ensure(hub.names, link, families, hub.marks, spec.server.reached)
    hub.marks[FAMILIES] = " ".join(families)
    return changed


def ensure_processes(hub: Hub, spec: HubSpec) -> dict[str, bool]:
    """Make what listens on ports be there: all of it is tried before an AgentError is raised."""
    changed, refusals = {}, []
    for name in ("openvpn", "dns"):
        try:
            changed[name] = COMPONENTS[name].ensure(hub, spec)
        except AgentError as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
    return changed


def reconcile_host(host: Host) -> bool:
    """Make the host forward and keep its side of all links shut; return whether it did not."""
    with host_lock(host.state.directory):
        marks = host.state.shared.marks()
        before = dict(marks)
        changed = egress.ensure_host(host.place, marks, host.state.shared.servers())
        sources = host.state.shared.sources()
        changed |= source.ensure(host.place, sources.values(), marks)
        changed |= host_limits.ensure(host.place, sources, host.state.shared.servers(), marks)
        if marks != before:
            host.state.shared.save_marks(marks)
    return changed


def _ensure_namespace(host: Host, hub: Hub) -> bool:
    if namespace.exists(hub.names.netns):
        return namespace.ensure(hub.names)
    # A namespace that lost its name lives on with its tunnels as long as a process is in it.
    dns.stop(hub)
    openvpn.leave(hub)
    # Two that make the first namespace of a host disturb each other in older versions of ip-netns(8).
    with host_lock(host.state.directory):
        return namespace.ensure(hub.names)


def _link(host: Host, hub: str) -> Link:
    number = host.state.shared.links().get(hub)
    if number is not None:
        return Link(number)

    def take(links: dict[str, int]) -> None:
        taken = set(links.values()) | egress.used_links(host.place)
        free = next((candidate for candidate in range(LINK_COUNT) if candidate not in taken), None)
        if free is None:
            message = "This server has no free link for one more hub."
            raise AgentError(FAILED, message, codes.SERVER_NO_LINK.of())
        links[hub] = free

    host.state.shared.edit_links(take)
    return Link(host.state.shared.links()[hub])
