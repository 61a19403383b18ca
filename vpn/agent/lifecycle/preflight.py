"""What can be known before anything is changed: a hub that cannot be had as it is wanted stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vpn.agent.dns import component as dns
from vpn.agent.memory.names import Names
from vpn.agent.memory.state import State
from vpn.agent.openvpn import component as openvpn
from vpn.agent.system import command, confine
from vpn.agent.wireguard import component as wireguard
from vpn.wire.errors import NO_RIGHT, AgentError
from vpn.wire.spec import HubSpec

# Bits of the effective set, capabilities(7).
_RIGHTS: Final = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
_PROGRAMS: Final = ("nsenter", "ip", "ss", "sysctl", "nft", "conntrack", "wg")


def check(state: State, names: Names, spec: HubSpec) -> None:
    """Raise AgentError where a right or a program is missing, or a port is taken."""
    _require_rights()
    for program in _PROGRAMS:
        command.require(program)
    confine.require()
    wireguard.check(names, spec)
    openvpn.check(names, spec, state.openvpn(spec.hub))
    dns.check(names, spec, state.dns(spec.hub))


def _require_rights() -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    effective = int(status.get("CapEff", "0"), 16)
    missing = [name for name, bit in _RIGHTS.items() if not effective >> bit & 1]
    if missing:
        raise AgentError(NO_RIGHT, f"The agent lacks the right {' and '.join(missing)} on the server: run it as root.")
