"""The UDP port of the tunnel interface, which is the host's."""

from __future__ import annotations

import time
from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.system.command import Place
from vpn.agent.wireguard import uapi
from vpn.agent.wireguard.device import Device
from vpn.wire import codes
from vpn.wire.errors import FAILED, PORT_TAKEN, AgentError

_BIND_PATIENCE: Final = 5.0  # seconds


def check(names: Names, port: int) -> None:
    """Raise AgentError where another program has the port."""
    if _is_bound(names.host, port):
        message = f"UDP port {port} of the server is taken by another program: free it or choose another port."
        raise AgentError(PORT_TAKEN, message, codes.WIREGUARD_PORT_TAKEN.of(port))


def wait(names: Names, port: int) -> None:
    """Wait until the interface has its port. Raises AgentError."""
    if not uapi.socket_path(names.wireguard).exists():
        return  # the kernel opens its socket at once, or refuses to set the interface up
    deadline = time.monotonic() + _BIND_PATIENCE
    while not _is_bound(names.host, port):
        if time.monotonic() > deadline:
            message = f"wireguard-go did not open UDP port {port}."
            raise AgentError(FAILED, message, codes.WIREGUARD_PORT_NOT_OPENED.of(port))
        time.sleep(0.005)


def is_deaf(names: Names, device: Device) -> bool:
    """Return whether wireguard-go runs without its socket, as a failed change of its port leaves it."""
    userspace = uapi.socket_path(names.wireguard).exists()
    return userspace and device.port != 0 and not _is_bound(names.host, device.port)


def _is_bound(host: Place, port: int) -> bool:
    return bool(host.run(["ss", "-Hlun", f"sport = :{port}"]).strip())
