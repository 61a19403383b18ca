"""Checks before any change: if a spec cannot be applied, the hub stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vpn.agent import dns, openvpn, wireguard
from vpn.agent.lifecycle.host_parts import ensure_room
from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import WIREGUARD
from vpn.agent.system import command, confine, inotify
from vpn.wire import codes
from vpn.wire.errors import NO_RIGHT, AgentError
from vpn.wire.spec import HubSpec

# Bit numbers of capabilities(7).
_CAPABILITIES: Final = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
_PROGRAMS: Final = ("nsenter", "ip", "ss", "sysctl", "nft", "conntrack", "wg")


def check(hub: Hub, spec: HubSpec) -> None:
    """Raise AgentError if a capability, a program or an inotify instance is missing, or a port is taken."""
    _require_rights()
    for program in _PROGRAMS:
        command.require(program)
    confine.require()
    if wireguard.needs_process(hub.names):
        user = hub.names.user(WIREGUARD)
        if not ensure_room(hub.names.host, hub.state.shared, user):
            raise inotify.refusal()
    for component in (wireguard, openvpn, dns):
        component.check(hub, spec)


def _require_rights() -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    effective = int(status.get("CapEff", "0"), 16)
    missing = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    if missing:
        message = f"The agent lacks the right {' and '.join(missing)} on the server: run it as root."
        raise AgentError(NO_RIGHT, message, codes.SERVER_RIGHT_MISSING.of("+".join(missing)))
