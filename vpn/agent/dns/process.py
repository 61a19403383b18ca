"""The process of a hub's resolver: dnsmasq, in a sandbox. The old process ends before a new one starts."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final

from vpn.agent.dns.config import PORT, Layout
from vpn.agent.memory.names import RESOLVER, Names
from vpn.agent.system import command, confine, files, processes
from vpn.agent.system.confine import Confinement
from vpn.agent.system.processes import Process
from vpn.wire import codes
from vpn.wire.errors import FAILED, PORT_TAKEN, AgentError

PROGRAM: Final = "dnsmasq"
_MOST_FILES: Final = 4096


def require() -> None:
    """Raise AgentError unless dnsmasq is installed."""
    for program in (PROGRAM, "prlimit"):
        command.require(program)
    confine.require()


def confinement(names: Names, layout: Layout) -> Confinement:
    """Return its confinement: it may open its port and read its directory, and write nowhere."""
    user = names.user(RESOLVER)
    return Confinement(user, user, (confine.NET_BIND_SERVICE,), (layout.directory,))


def start(names: Names, layout: Layout, digest: str) -> None:
    """Start dnsmasq inside the hub with the files of `layout`; on return it answers. Raises AgentError."""
    require()
    layout.started.unlink(missing_ok=True)
    result = names.inside.try_run(_argv(names, layout))
    if result.code != 0:
        raise _failure(names, result)
    # A process that answers over TCP is a child of it.
    first = processes.first(PROGRAM, layout.config)
    if first is None:
        message = "dnsmasq ended as soon as it had started: is the server short of memory?"
        raise AgentError(FAILED, message, codes.DNS_NOT_STARTED.of())
    files.replace(layout.started, f"{first} {digest}\n", durable=False)


def from_pid_file(layout: Layout) -> Process | None:
    """Return the started process if it is alive."""
    pid, _ = _started(layout)
    return processes.process(pid, PROGRAM, {layout.config}) if pid else None


def is_current(names: Names, layout: Layout, digest: str) -> bool:
    """Return True if the process runs in the hub's namespace with the configuration that has `digest`."""
    process = from_pid_file(layout)
    return (
        process is not None
        and _started(layout)[1] == digest
        # A namespace that was created again has the same name, but the process is still in the old one.
        and processes.is_inside(process.pid, names.netns)
        and confinement(names, layout).holds(process.pid)
    )


def reload(layout: Layout) -> None:
    """Reload the servers (SIGHUP); pending queries are answered afterwards."""
    process = from_pid_file(layout)
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGHUP)


def stop(layout: Layout) -> bool:
    """Stop the process, wait until it is gone, and return True if there was one."""
    return processes.stop(PROGRAM, {layout.config})


def _argv(names: Names, layout: Layout) -> list[str]:
    program = [PROGRAM, "-C", str(layout.config)]
    return ["prlimit", f"--nofile={_MOST_FILES}", *confinement(names, layout).argv(program)]


def _started(layout: Layout) -> tuple[int, str]:
    pid, _, digest = (files.read_text(layout.started) or "").strip().partition(" ")
    return int(pid) if pid.isdecimal() else 0, digest


def _failure(names: Names, result: command.Result) -> AgentError:
    if "Address already in use" in result.err:
        message = f"Port {PORT} inside the hub is taken by another program: end it (ip netns pids {names.netns})."
        return AgentError(PORT_TAKEN, message, codes.DNS_PORT_TAKEN.of(names.netns))
    return command.explain(PROGRAM, result)
