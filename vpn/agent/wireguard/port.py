"""The UDP port of the tunnel interface, which is open in the host's namespace."""

from __future__ import annotations

import time
from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.system.command import Netns
from vpn.agent.wireguard import uapi
from vpn.agent.wireguard.device import Device
from vpn.wire import codes
from vpn.wire.errors import FAILED, PORT_TAKEN, AgentError

_BIND_PATIENCE: Final = 5.0  # seconds


def check(names: Names, port: int) -> None:
    """Raise AgentError if another program uses the port."""
    if _is_bound(names.host, port):
        message = f"UDP port {port} of the server is taken by another program: free it or choose another port."
        raise AgentError(PORT_TAKEN, message, codes.WIREGUARD_PORT_TAKEN.of(port))


def wait(names: Names, port: int) -> None:
    """Wait until the interface has opened its port. Raises AgentError."""
    if not uapi.socket_path(names.wireguard).exists():
        return  # the kernel opens the port at once, or setting the interface up fails
    deadline = time.monotonic() + _BIND_PATIENCE
    while not _is_bound(names.host, port):
        if time.monotonic() > deadline:
            message = f"wireguard-go did not open UDP port {port}."
            raise AgentError(FAILED, message, codes.WIREGUARD_PORT_NOT_OPENED.of(port))
        time.sleep(0.005)


def is_lost(names: Names, device: Device) -> bool:
    """Return True if wireguard-go runs without its UDP socket, for example after a failed change of port."""
    userspace = uapi.socket_path(names.wireguard).exists()
    return userspace and device.port != 0 and not _is_bound(names.host, device.port)


def _is_bound(host: Netns, port: int) -> bool:
    return bool(host.run(["ss", "-Hlun", f"sport = :{port}"]).strip())
