"""Checks of a server that is to carry hubs. Each returns what it found, and raises AgentError if hubs cannot run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from vpn.agent.system import command
from vpn.wire import codes
from vpn.wire.errors import DISK_FULL, FAILED, AgentError

SUPPORTED: Final = frozenset({"debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04"})
_RELEASE: Final = Path("/etc/os-release")
_TUN: Final = "/dev/net/tun"
_MOST_SECONDS: Final = 60.0  # TLS and the expiry of peers need the right time
_LEAST_MEGABYTES: Final = 500
_PORTS: Final = range(20000, 32768)
_SOCKETS: Final = ("tcp", "tcp6", "udp", "udp6")
_LISTENING: Final = {"tcp": "0A", "udp": "07"}


def system() -> str:
    """The distribution and its version."""
    fields = dict(line.split("=", 1) for line in _RELEASE.read_text().splitlines() if "=" in line)
    name = f"{fields.get('ID', '')}-{fields.get('VERSION_ID', '')}".replace('"', "")
    if name not in SUPPORTED:
        raise AgentError(FAILED, f"{name} is not supported.", codes.SERVER_SYSTEM_UNSUPPORTED.of(name))
    return name


def namespaces() -> str:
    """Network namespaces and tunnel interfaces can be created."""
    if command.try_run(["unshare", "--net", "--mount", "true"]).code != 0:
        raise AgentError(FAILED, "No namespaces can be created.", codes.SERVER_NAMESPACES_REFUSED.of())
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        raise AgentError(FAILED, f"{_TUN} cannot be opened.", codes.SERVER_NO_TUN.of(_TUN)) from None
    return ""


def clock(ahead: float) -> str:
    """The server's clock is `ahead` seconds ahead of the portal's."""
    if abs(ahead) > _MOST_SECONDS:
        raise AgentError(FAILED, "The clock is wrong.", codes.SERVER_CLOCK_WRONG.of(f"{ahead:+.0f}"))
    return f"{ahead:+.1f}"


def disk(state: Path) -> str:
    """The free space for the agent's state."""
    free = os.statvfs(state)
    megabytes = free.f_bavail * free.f_frsize // 1_000_000
    if megabytes < _LEAST_MEGABYTES:
        raise AgentError(DISK_FULL, "The disk is nearly full.", codes.SERVER_DISK_SHORT.of(f"{megabytes}MB"))
    return f"{megabytes}MB"


def ports() -> str:
    """The number of ports for hubs that no socket has."""
    taken = {port for table in _SOCKETS for port in _taken(table)}
    free = sum(1 for port in _PORTS if port not in taken)
    if free < 2:
        raise AgentError(FAILED, "Every port is taken.", codes.SERVER_NO_PORTS.of())
    return str(free)


def _taken(table: str) -> set[int]:
    try:
        lines = Path("/proc/net", table).read_text().splitlines()[1:]
    except OSError:
        return set()
    rows = (line.split() for line in lines)
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENING[table[:3]]}
