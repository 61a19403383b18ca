"""Processes of openvpn: started with the least rights possible, and identified by their command line."""

from __future__ import annotations

import resource
from collections.abc import Collection
from typing import Final

from vpn.agent.memory.names import OPENVPN, Names
from vpn.agent.openvpn.layout import Layout
from vpn.agent.system import command, confine, files, processes
from vpn.agent.system.confine import Confinement
from vpn.agent.system.processes import Process
from vpn.wire import codes
from vpn.wire.errors import FAILED, PORT_TAKEN, AgentError

_DIGEST: Final = "HUB_DIGEST"
PROGRAM: Final = "openvpn"
# Bytes. A running listener logs little, but it logs socket errors regardless of `verb`.
_LONGEST_LOG: Final = 1 << 20


def require() -> None:
    """Raise AgentError unless the programs for `start` are installed."""
    for program in (PROGRAM, "prlimit", "env"):
        command.require(program)
    confine.require()


def confinement(names: Names, layout: Layout) -> Confinement:
    """Return the listeners' confinement. They need no capability, because the agent creates their interfaces."""
    user = names.user(OPENVPN)
    return Confinement(user, user, (), (layout.directory,), (layout.run, layout.shown), has_tun=True)


def start(names: Names, layout: Layout, listener: str, digest: str, memory: int) -> None:
    """Start a listener with its files; its environment contains their `digest`. Raises AgentError if it ends at once.

    `memory` is its limit in bytes: beyond it, the process ends and is restarted. Its log ends at `_LONGEST_LOG`.
    """
    require()
    for path in (layout.pid(listener), layout.log(listener), layout.opened(listener)):
        path.unlink(missing_ok=True)
    # Each TCP client needs a file descriptor, so allow the maximum.
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = [PROGRAM, "--config", str(layout.config(listener)), "--setenv", _DIGEST, digest, "--daemon"]
    limits = [f"--nofile={highest}", f"--data={memory}", f"--fsize={_LONGEST_LOG}"]
    # The process must survive a full log file (SIGXFSZ, setrlimit(2)).
    argv = ["env", "--ignore-signal=XFSZ", "prlimit", *limits, *confinement(names, layout).argv(program)]
    if names.host.start_daemon(argv).code != 0:
        raise failure(layout, listener)


def failure(layout: Layout, listener: str) -> AgentError:
    """Return the error for an openvpn that did not start, with the reason from its log."""
    lines = (files.read_foreign(layout.log(listener)) or "").splitlines()
    if any("Address already in use" in line for line in lines):
        message = "A port of OpenVPN's is taken by another program: free it or choose another."
        return AgentError(PORT_TAKEN, message, codes.OPENVPN_LISTENER_PORT_TAKEN.of(listener))
    telling = [line for line in lines if "WARNING" not in line and "Exiting due to fatal error" not in line]
    # Without the date and time at the start of the line.
    reason = " ".join(telling[-1].split()[2:])[:200] if telling else "its log is empty"
    return AgentError(FAILED, f"openvpn did not start: {reason}", codes.OPENVPN_NOT_STARTED.of(listener))


def from_pid_file(layout: Layout, listener: str) -> Process | None:
    """Return the process in a listener's pid file, if it is alive."""
    text = (files.read_foreign(layout.pid(listener)) or "").strip()
    return processes.process(int(text), PROGRAM, {layout.config(listener)}) if text.isdecimal() else None


def running(layout: Layout, listeners: Collection[str]) -> list[Process]:
    """Return all processes of listeners, regardless of pid files."""
    return processes.running(PROGRAM, [layout.config(listener) for listener in listeners])


def digest(process: Process) -> str:
    """Return the digest of the files that a process was started with."""
    return process.after(_DIGEST)


def stop(layout: Layout, listeners: Collection[str]) -> bool:
    """Stop all processes of listeners, wait until they are gone, and return True if there were any."""
    return processes.stop(PROGRAM, [layout.config(listener) for listener in listeners])
