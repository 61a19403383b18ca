"""Processes of openvpn: started with as few rights as work, found by their command line, gone before another starts."""

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
# Bytes. Little is written once it runs, but errors about sockets are, whatever `verb` says.
_LONGEST_LOG: Final = 1 << 20


def require() -> None:
    """Raise AgentError unless all that `start` needs is installed."""
    for program in (PROGRAM, "prlimit", "env"):
        command.require(program)
    confine.require()


def confinement(names: Names, layout: Layout) -> Confinement:
    """Return how the listeners are confined: without any capability, for they find their interfaces made."""
    user = names.user(OPENVPN)
    return Confinement(user, user, (), (layout.directory,), (layout.run, layout.shown), has_tun=True)


def start(names: Names, layout: Layout, listener: str, digest: str, memory: int) -> None:
    """Start a listener with what is written for it, carrying its digest. Raises AgentError when it ends at once.

    It has so many bytes of `memory`: beyond them it ends, and is started anew. What it writes ends at `_LONGEST_LOG`.
    """
    require()
    for path in (layout.pid(listener), layout.log(listener), layout.opened(listener)):
        path.unlink(missing_ok=True)
    # A client over TCP is a descriptor: as many as root may have.
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = [PROGRAM, "--config", str(layout.config(listener)), "--setenv", _DIGEST, digest, "--daemon"]
    limits = [f"--nofile={highest}", f"--data={memory}", f"--fsize={_LONGEST_LOG}"]
    # A file that is full must not end it (setrlimit(2)).
    argv = ["env", "--ignore-signal=XFSZ", "prlimit", *limits, *confinement(names, layout).argv(program)]
    if names.host.start_daemon(argv).code != 0:
        raise failure(layout, listener)


def failure(layout: Layout, listener: str) -> AgentError:
    """Return the error for an openvpn that did not come up, with the reason that it wrote down."""
    lines = (files.read_foreign(layout.log(listener)) or "").splitlines()
    if any("Address already in use" in line for line in lines):
        message = "A port of OpenVPN's is taken by another program: free it or choose another."
        return AgentError(PORT_TAKEN, message, codes.OPENVPN_LISTENER_PORT_TAKEN.of(listener))
    telling = [line for line in lines if "WARNING" not in line and "Exiting due to fatal error" not in line]
    # A line begins with its date and time.
    reason = " ".join(telling[-1].split()[2:])[:200] if telling else "it said nothing"
    return AgentError(FAILED, f"openvpn did not start: {reason}", codes.OPENVPN_NOT_STARTED.of(listener))


def written(layout: Layout, listener: str) -> Process | None:
    """Return the process of a listener that wrote its id down, when it lives."""
    text = (files.read_foreign(layout.pid(listener)) or "").strip()
    return processes.process(int(text), PROGRAM, {layout.config(listener)}) if text.isdecimal() else None


def running(layout: Layout, listeners: Collection[str]) -> list[Process]:
    """Return all processes of listeners, wherever they wrote their ids."""
    return processes.running(PROGRAM, [layout.config(listener) for listener in listeners])


def digest(process: Process) -> str:
    """Return the digest of what a process was started with."""
    return process.after(_DIGEST)


def stop(layout: Layout, listeners: Collection[str]) -> bool:
    """End all processes of listeners, wait until they are gone, and return whether there were any."""
    return processes.stop(PROGRAM, [layout.config(listener) for listener in listeners])
