"""Take down a hub whose lease is over: the portal may have created it on another server by now."""

from __future__ import annotations

from vpn.agent.lifecycle.components import COMPONENTS
from vpn.agent.lifecycle.host import Host
from vpn.agent.network import egress, namespace
from vpn.agent.system import processes, users
from vpn.agent.system.lock import hub_lock


def lapse(host: Host, hub: str, patience: float) -> bool:
    """Take the hub down if its lease is over; return True if it was up. Its saved state stays for a renewed lease.

    Raises BusyError if another process changes the hub for longer than `patience` seconds.
    """
    names = host.names(hub)
    with hub_lock(host.state.directory, hub, patience):
        if not host.state.leases.is_over(hub) or not namespace.exists(names.netns):
            return False
        with host.state.unsettled(hub):
            for component in COMPONENTS.values():
                component.remove(host.hub(hub))
            processes.end_users(users.known(host.state.directory, hub))
            egress.remove(names)
            # Last: a hub with a namespace is not down yet.
            namespace.remove(names)
    return True
