"""The firewall inside a hub: which peers reach which, and how many connections each peer may have."""

from vpn.agent.firewall.component import (
    change,
    depends_on_interfaces,
    drift,
    end_flows,
    end_flows_outside,
    ensure,
    hits,
    is_alive,
    reevaluate_flows,
    remove,
)

__all__ = [
    "change",
    "depends_on_interfaces",
    "drift",
    "end_flows",
    "end_flows_outside",
    "ensure",
    "hits",
    "is_alive",
    "reevaluate_flows",
    "remove",
]
