"""Making and ending the tunnel interface: the kernel's, or a process of wireguard-go's."""

from __future__ import annotations

import os
import signal
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

# Asked once per agent: the kernel looks for its module each time.
_kernel_has_wireguard = [True]


def start(names: Names) -> None:
    """Make the interface in the host's namespace. Raises AgentError."""
    if _kernel_has_wireguard[0] and _start_in_kernel(names):
        return
    command.require(PROGRAM)
    confine.require()
    if not inotify.has_room():
        inotify.make_room(names.host)
    argv = confinement(names).argv(["setsid", "--fork", PROGRAM, names.wireguard])
    with uapi.listen(names.wireguard, names.user(WIREGUARD)) as listening:
        environment = {"WG_UAPI_FD": str(listening.fileno()), "WG_PROCESS_FOREGROUND": "1"}
        done = names.host.start_daemon(argv, descriptors=[listening.fileno()], environment=environment)
    # It has looked at its interface, which must stay until then, when it answers.
    if done.code != 0 or uapi.heard(names.wireguard) is None:
        raise _why_not_started()
    (process, *_) = processes.running(PROGRAM, {names.wireguard})
    files.replace(uapi.pid_path(names.wireguard), f"{process.pid}\n", durable=False)


def remove(names: Names) -> None:
    """Remove the interface and its process; what is gone already is fine."""
    for place in (names.inside, names.host):
        place.try_run(["ip", "link", "delete", "dev", names.wireguard])
    deadline = time.monotonic() + _EXIT_PATIENCE
    while uapi.is_answering(names.wireguard) and time.monotonic() < deadline:
        time.sleep(0.005)
    if uapi.socket_path(names.wireguard).exists():
        for process in processes.running(PROGRAM, {names.wireguard}):
            os.kill(process.pid, signal.SIGKILL)
        uapi.socket_path(names.wireguard).unlink(missing_ok=True)
    uapi.pid_path(names.wireguard).unlink(missing_ok=True)


def confinement(names: Names) -> Confinement:
    """Return how wireguard-go is confined: of files it sees its socket, which it is given open, and the tun device."""
    user = names.user(WIREGUARD)
    return Confinement(user, user, (confine.NET_ADMIN,), (uapi.socket_path(names.wireguard),), has_tun=True)


def is_confined(names: Names) -> bool:
    """Return whether the interface's process has the rights that it should have, and no others."""
    if not uapi.socket_path(names.wireguard).exists():
        return True  # the kernel's
    process = written(names)
    return process is not None and confinement(names).holds(process.pid)


def written(names: Names) -> Process | None:
    """Return the process of the interface, when it lives; None where the kernel has it."""
    if not uapi.socket_path(names.wireguard).exists():
        return None
    text = (files.read_text(uapi.pid_path(names.wireguard)) or "").strip()
    if text.isdecimal():
        return processes.process(int(text), PROGRAM, {names.wireguard})
    # An older agent wrote nothing down.
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


def _why_not_started() -> AgentError:
    if not inotify.has_room():
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
