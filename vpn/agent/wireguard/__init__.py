"""WireGuard: the tunnel interface, its peers, and their handshakes and counters."""

from vpn.agent.wireguard.calling import call, connected
from vpn.agent.wireguard.component import change, check, drift, ensure, is_alive, remove, shut_out, stop_keepalives
from vpn.agent.wireguard.device import ACTIVE_WITHIN, Device, observe, reports
from vpn.agent.wireguard.process import PROGRAM, confinement, from_pid_file, needs_process

__all__ = [
    "ACTIVE_WITHIN",
    "PROGRAM",
    "Device",
    "call",
    "change",
    "check",
    "confinement",
    "connected",
    "drift",
    "ensure",
    "from_pid_file",
    "is_alive",
    "needs_process",
    "observe",
    "remove",
    "reports",
    "shut_out",
    "stop_keepalives",
]
