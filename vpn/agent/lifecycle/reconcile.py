"""Compare a whole hub with its spec, and change only what differs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.firewall import limits
from vpn.agent.lifecycle import effective, expiry, removals, trials
from vpn.agent.lifecycle.components import COMPONENTS
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import HostParts, reconcile_host
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import LINK_COUNT, Link
from vpn.agent.network import egress, namespace, routing, source
from vpn.agent.system.lock import host_lock
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError
from vpn.wire.spec import HubSpec

# The fingerprint with the address families that the host had a default route for when the hub's link was set up.
FAMILIES: Final = "families"


def reconcile(
    host: Host, spec: HubSpec, saved: HubSpec | None = None, parts: HostParts | None = None
) -> dict[str, bool]:
    """Make the hub match `spec` and return which components changed. Needs the hub's lock.

    `saved` is the spec before, if it is known. With `parts`, the host's own parts are not checked for each hub.
    """
    now, wanted = time.time(), spec
    has_ended = trials.is_over(host.state, spec) or trials.is_due(host.state, spec.hub)
    effective.prepare(host.state, spec, now)
    spec = effective.of_spec(host.state, spec, now)
    hub = host.hub(spec.hub)
    is_new = not namespace.exists(hub.names.netns)
    changed = {"namespace": _ensure_namespace(host, hub, is_new)}
    if is_new:
        hub = replace(hub, is_new=True)
        hub.fingerprints.clear()
    link = _link(host, spec.hub)
    changed["egress"] = _ensure_egress(host, hub, spec, link, parts)
    # The firewall is loaded before the first packet can arrive.
    asking = dns.with_servers_of(spec, saved)
    is_asking_former = asking is not spec
    changed["firewall"] = firewall.ensure(hub, asking)
    changed["firewall"] |= limits.ensure(hub, spec)
    # Peers may have been removed meanwhile. One that comes back for a moment leaves at once.
    spec = removals.without_removed(hub, spec)
    changed["wireguard"] = wireguard.ensure(hub, spec)
    removals.enforce(hub, spec.version)
    changed["routing"] = routing.ensure(hub.names, spec, link, is_new)
    if changed["routing"] and firewall.depends_on_interfaces(spec):
        firewall.reevaluate_flows(hub, spec)
    # After the tunnels: a full disk must not keep a removed peer connected.
    hub.save_fingerprints()
    # Last: a taken port must not keep WireGuard from working.
    changed |= ensure_processes(hub, removals.without_removed(hub, spec))
    if is_asking_former:
        firewall.ensure(hub, spec)
        hub.save_fingerprints()
    expiry.reschedule(host.state, spec.hub, wanted.peers, now)
    if has_ended:
        trials.note_returned(host.state, wanted)
    return changed


def _ensure_egress(host: Host, hub: Hub, spec: HubSpec, link: Link, parts: HostParts | None) -> bool:
    differs = host.state.shared.save_source(spec.hub, source.Source.of(spec).document())
    differs |= host.state.shared.save_server(spec.hub, spec.server)
    changed = reconcile_host(host) if differs or parts is None else False
    families = egress.families(host.netns) if parts is None else parts.families()
    changed |= egress.ensure(hub, link, families, spec.server.reached)
    hub.fingerprints[FAMILIES] = " ".join(families)
    return changed


def ensure_processes(hub: Hub, spec: HubSpec) -> dict[str, bool]:
    """Start OpenVPN and the resolver. Both are tried before an AgentError is raised."""
    changed, refusals = {}, []
    for name in ("openvpn", "dns"):
        try:
            changed[name] = COMPONENTS[name].ensure(hub, spec)
        except AgentError as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
    return changed


def _ensure_namespace(host: Host, hub: Hub, is_new: bool) -> bool:
    if not is_new:
        return namespace.ensure(hub.names)
    # A namespace without a name still exists, with its tunnels, as long as a process runs in it.
    dns.stop(hub)
    openvpn.stop_inside(hub)
    # In older versions of ip-netns(8), two processes that create the first namespace of a host disturb each other.
    with host_lock(host.state.directory):
        namespace.add(hub.names)
    namespace.set_up(hub.names)
    return True


def _link(host: Host, hub: str) -> Link:
    number = host.state.shared.links().get(hub)
    if number is not None:
        return Link(number)

    def take(links: dict[str, int]) -> None:
        taken = set(links.values()) | egress.used_links(host.netns)
        free = next((candidate for candidate in range(LINK_COUNT) if candidate not in taken), None)
        if free is None:
            message = "This server has no free link for one more hub."
            raise AgentError(FAILED, message, codes.SERVER_NO_LINK.of())
        links[hub] = free

    host.state.shared.edit_links(take)
    return Link(host.state.shared.links()[hub])
