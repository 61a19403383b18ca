"""WireGuard: the tunnel interface, its peers, and what they last said."""

from vpn.agent.wireguard.component import calm, change, check, drift, ensure, is_alive, remove
from vpn.agent.wireguard.device import TALKING_WITHIN, Device, observe, reports
from vpn.agent.wireguard.process import PROGRAM, confinement, written

__all__ = [
    "PROGRAM",
    "TALKING_WITHIN",
    "Device",
    "calm",
    "change",
    "check",
    "confinement",
    "drift",
    "ensure",
    "is_alive",
    "observe",
    "remove",
    "reports",
    "written",
]
