"""The process inside a hub that sets the routes of OpenVPN's peers when they connect and disconnect.

It runs the script `routes`. It is the only part of OpenVPN that may change the hub's network. Its only input from
outside are the names of peers that connected or disconnected.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Final

from vpn.agent.memory.names import OPENVPN, ROUTES, Names
from vpn.agent.openvpn.layout import Layout
from vpn.agent.system import confine, files, processes
from vpn.agent.system.confine import Confinement
from vpn.agent.system.processes import Process
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

PROGRAM: Final = "sh"


def confinement(names: Names, layout: Layout) -> Confinement:
    """Return the confinement of the process."""
    return Confinement(names.user(ROUTES), names.user(OPENVPN), (confine.NET_ADMIN,), (layout.directory,))


def ensure(names: Names, layout: Layout, is_new: bool = False) -> bool:
    """Ensure that the process runs with the current script; return True if it had to be started.

    `is_new`: the hub's namespace is new, and the process in the one before was stopped.
    """
    process = from_pid_file(layout)
    if process is not None and _is_current(names, layout, process):
        return False
    if not is_new:
        stop(layout)
    confine.require()
    _ensure_pipe(layout, names.user(OPENVPN))
    # A pipe that is opened for reading and writing never reports end of file.
    pipe = os.open(layout.route_requests, os.O_RDWR | os.O_CLOEXEC)
    try:
        argv = confinement(names, layout).argv(["setsid", "--fork", PROGRAM, str(layout.routes)])
        done = names.inside.start_daemon(argv, stdin=pipe)
    finally:
        os.close(pipe)
    found = processes.await_first(PROGRAM, layout.routes) if done.code == 0 else None
    if found is None:
        message = "The process that sets routes of OpenVPN's peers did not start: is the server short of memory?"
        raise AgentError(FAILED, message, codes.OPENVPN_ROUTES_NOT_STARTED.of())
    files.replace(layout.routes_started, f"{found} {_script(layout)}\n", durable=False)
    return True


def from_pid_file(layout: Layout) -> Process | None:
    """Return the started process if it is alive."""
    text = _started(layout)[0]
    return processes.process(int(text), PROGRAM, {layout.routes}) if text.isdecimal() else None


def stop(layout: Layout) -> bool:
    """Stop the process, wait until it is gone, and return True if there was one."""
    return processes.stop(PROGRAM, {layout.routes})


def _is_current(names: Names, layout: Layout, process: Process) -> bool:
    is_here = processes.is_inside(process.pid, names.netns)
    return is_here and _started(layout)[1] == _script(layout) and confinement(names, layout).holds(process.pid)


def _started(layout: Layout) -> tuple[str, str]:
    text, _, script = (files.read_text(layout.routes_started) or "").strip().partition(" ")
    return text, script


def _script(layout: Layout) -> str:
    return hashlib.sha256(layout.routes.read_bytes()).hexdigest()[:32]


def _ensure_pipe(layout: Layout, group: int) -> None:
    if not (layout.route_requests.exists() and stat.S_ISFIFO(layout.route_requests.lstat().st_mode)):
        layout.route_requests.unlink(missing_ok=True)
        os.mkfifo(layout.route_requests, 0o600)
    os.chown(layout.route_requests, -1, group)
    layout.route_requests.chmod(0o660)  # listeners may write to the pipe, but not replace it
