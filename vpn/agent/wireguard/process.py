"""Create and remove the tunnel interface: in the kernel, or as a process of wireguard-go."""

from __future__ import annotations

import os
import time
from typing import Final

from vpn.agent.memory.names import WIREGUARD, Names
from vpn.agent.system import command, confine, files, inotify, processes
from vpn.agent.system.confine import Confinement
from vpn.agent.system.processes import Process
from vpn.agent.wireguard import uapi, wg
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

PROGRAM: Final = "wireguard-go"
_TUN: Final = "/dev/net/tun"
_EXIT_PATIENCE: Final = 1.0  # seconds

# Tried once per agent: the kernel searches for its module each time.
_kernel_has_wireguard = [True]


def start(names: Names) -> None:
    """Create the interface in the host's namespace. Raises AgentError."""
    if _kernel_has_wireguard[0] and _start_in_kernel(names):
        return
    command.require(PROGRAM)
    confine.require()
    argv = confinement(names).argv(["setsid", "--fork", PROGRAM, names.wireguard])
    with uapi.listen(names.wireguard, names.user(WIREGUARD)) as listening:
        environment = {"WG_UAPI_FD": str(listening.fileno()), "WG_PROCESS_FOREGROUND": "1"}
        done = names.host.start_daemon(argv, descriptors=[listening.fileno()], environment=environment)
    # Once it answers, it has read its interface, which may then be moved.
    if done.code != 0 or uapi.peers(names.wireguard) is None:
        raise _why_not_started(names)
    pid = processes.first(PROGRAM, names.wireguard)
    if pid is None:
        raise _why_not_started(names)
    files.replace(uapi.pid_path(names.wireguard), f"{pid}\n", durable=False)


def needs_process(names: Names) -> bool:
    """Return True if the interface needs a process that does not run yet: the kernel has no WireGuard."""
    return not _kernel_has_wireguard[0] and from_pid_file(names) is None


def remove(names: Names) -> None:
    """Remove the interface and its process. Calling it twice is harmless."""
    for netns in (names.inside, names.host):
        netns.try_run(["ip", "link", "delete", "dev", names.wireguard])
    deadline = time.monotonic() + _EXIT_PATIENCE
    while uapi.is_answering(names.wireguard) and time.monotonic() < deadline:
        time.sleep(0.005)
    if uapi.socket_path(names.wireguard).exists():
        # Until it is gone, it may still send from the hub's port, which may be forwarded from now on.
        processes.stop(PROGRAM, {names.wireguard})
        uapi.socket_path(names.wireguard).unlink(missing_ok=True)
    uapi.pid_path(names.wireguard).unlink(missing_ok=True)


def confinement(names: Names) -> Confinement:
    """Return wireguard-go's confinement: it sees only the tun device and its socket, which it inherits open."""
    user = names.user(WIREGUARD)
    return Confinement(user, user, (confine.NET_ADMIN,), (uapi.socket_path(names.wireguard),), has_tun=True)


def is_confined(names: Names) -> bool:
    """Return True if the interface's process has exactly the rights that it should have."""
    if not uapi.socket_path(names.wireguard).exists():
        return True  # a kernel interface
    process = from_pid_file(names)
    return process is not None and confinement(names).holds(process.pid)


def from_pid_file(names: Names) -> Process | None:
    """Return the process of the interface if it is alive; None for a kernel interface."""
    if not uapi.socket_path(names.wireguard).exists():
        return None
    text = (files.read_text(uapi.pid_path(names.wireguard)) or "").strip()
    if text.isdecimal():
        return processes.process(int(text), PROGRAM, {names.wireguard})
    # An older agent wrote no pid file.
    return next(iter(processes.running(PROGRAM, {names.wireguard})), None)


def _start_in_kernel(names: Names) -> bool:
    add = ["ip", "link", "add", "dev", names.wireguard, "type", "wireguard"]
    result = names.host.try_run(add)
    if "File exists" in result.err:
        remove(names)
        result = names.host.try_run(add)
    if "unknown device type" in result.err.lower() or "not supported" in result.err.lower():
        _kernel_has_wireguard[0] = False
        return False
    wg.require_success(result, "ip")
    return True


def _why_not_started(names: Names) -> AgentError:
    if not inotify.has_room(names.user(WIREGUARD)):
        return inotify.refusal()
    try:
        os.close(os.open(_TUN, os.O_RDWR))
    except OSError as error:
        message = (
            f"wireguard-go could not make a tunnel interface: the server needs {_TUN}, or WireGuard in its kernel "
            f"({os.strerror(error.errno or 0)})."
        )
        return AgentError(FAILED, message, codes.WIREGUARD_NO_TUN.of(_TUN))
    message = "wireguard-go did not start, or did not answer. LOG_LEVEL=error wireguard-go -f test0 says why."
    return AgentError(FAILED, message, codes.WIREGUARD_NOT_STARTED.of())
