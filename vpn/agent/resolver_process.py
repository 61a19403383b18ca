"""The process of a hub's resolver: dnsmasq as a user of its own, gone before another starts."""

from __future__ import annotations

import os
import pwd
import signal
from contextlib import suppress
from typing import Final

from vpn.agent import command, files, processes
from vpn.agent.command import NAMESPACES
from vpn.agent.errors import FAILED, PORT_TAKEN, AgentError
from vpn.agent.names import Names
from vpn.agent.processes import Process
from vpn.agent.resolver_config import PORT, Layout

_PROGRAM: Final = "dnsmasq"
_USERS: Final = ("dnsmasq", "nobody")  # the first that there is
# It is nobody who owns anything, and writes nowhere. CAP_NET_BIND_SERVICE is for its port. The agent's directory is
# root's alone, perhaps below a home that is, too: CAP_DAC_READ_SEARCH lets it read its names there when they change.
_RIGHTS: Final = "-all,+net_bind_service,+dac_read_search"
_MOST_FILES: Final = 4096
_INOTIFY: Final = "fs.inotify.max_user_instances"


def require() -> None:
    """Raise AgentError unless dnsmasq is installed."""
    command.require(_PROGRAM)


def start(names: Names, layout: Layout, digest: str) -> None:
    """Start dnsmasq inside the hub with what is written for it; it answers from here on. Raises AgentError."""
    require()
    layout.started.unlink(missing_ok=True)
    result = names.inside.try_run(_argv(layout))
    if result.code != 0 and "inotify" in result.err:
        _allow_more(names)
        result = names.inside.try_run(_argv(layout))
    if result.code != 0:
        raise _failure(names, result)
    found = processes.running(_PROGRAM, {layout.config})
    pids = {process.pid for process in found}
    # One that answers over TCP is a child.
    first = next((pid for pid in pids if processes.parent(pid) not in pids), None)
    if first is None:
        raise AgentError(FAILED, "dnsmasq ended as soon as it had started: is the server short of memory?")
    files.replace(layout.started, f"{first} {digest}\n", durable=False)


def written(layout: Layout) -> Process | None:
    """Return the process that was started, when it lives."""
    pid, _ = _started(layout)
    return processes.process(pid, _PROGRAM, {layout.config}) if pid else None


def is_current(names: Names, layout: Layout, digest: str) -> bool:
    """Return whether the process lives in the hub's namespace and was started with a configuration of `digest`."""
    process = written(layout)
    if process is None or _started(layout)[1] != digest:
        return False
    with suppress(OSError):
        # A hub that lost its namespace has another of the same name.
        return os.path.samestat(os.stat(f"/proc/{process.pid}/ns/net"), os.stat(f"{NAMESPACES}/{names.netns}"))
    return False


def reload(layout: Layout) -> None:
    """Have the process read its servers again; what was asked meanwhile is answered then."""
    process = written(layout)
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGHUP)


def stop(layout: Layout) -> bool:
    """End the process, wait until it is gone, and return whether there was one."""
    return processes.stop(_PROGRAM, {layout.config})


def _argv(layout: Layout) -> list[str]:
    user = _user()
    return [
        "prlimit",
        f"--nofile={_MOST_FILES}",
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        f"--bounding-set={_RIGHTS}",
        f"--inh-caps={_RIGHTS}",
        f"--ambient-caps={_RIGHTS}",
        "--no-new-privs",
        _PROGRAM,
        "-C",
        str(layout.config),
    ]


def _user() -> pwd.struct_passwd:
    for name in _USERS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise AgentError(FAILED, f"The server has no user {' or '.join(_USERS)} for the resolver: add one.")


def _started(layout: Layout) -> tuple[int, str]:
    pid, _, digest = (files.read_text(layout.started) or "").strip().partition(" ")
    return int(pid) if pid.isdecimal() else 0, digest


def _allow_more(names: Names) -> None:
    """Let one user watch twice as many things: a server of many hubs has more resolvers than are allowed at first."""
    now = names.host.run(["sysctl", "-n", _INOTIFY]).strip()
    if now.isdecimal():
        names.host.run(["sysctl", "-q", "-w", f"{_INOTIFY}={2 * int(now)}"])


def _failure(names: Names, result: command.Result) -> AgentError:
    if "Address already in use" in result.err:
        message = f"Port {PORT} inside the hub is taken by another program: end it (ip netns pids {names.netns})."
        return AgentError(PORT_TAKEN, message)
    return command.explain(_PROGRAM, result)
