"""Processes of openvpn: started with as few rights as work, found by their command line, gone before another starts."""

from __future__ import annotations

import resource
from collections.abc import Collection
from pathlib import Path
from typing import Final

from vpn.agent import command, files, processes
from vpn.agent.command import Place
from vpn.agent.errors import FAILED, PORT_TAKEN, AgentError
from vpn.agent.processes import Process

# To make a tunnel interface and move it takes CAP_NET_ADMIN, to set routes in the hub's namespace CAP_SYS_ADMIN
# (setns(2)). It stays root, for another user could not enter the namespace, but has no other right of root's: none over
# other users' files or processes, and no way to gain more.
_BOUNDED: Final = ("setpriv", "--bounding-set=-all,+net_admin,+sys_admin", "--inh-caps=-all", "--no-new-privs")
_DIGEST: Final = "HUB_DIGEST"
_PROGRAM: Final = "openvpn"


def require() -> None:
    """Raise AgentError unless all that `start` needs is installed."""
    for program in (_PROGRAM, "prlimit", "setpriv"):
        command.require(program)


def start(host: Place, config: Path, digest: str) -> None:
    """Start openvpn with the configuration `config`, carrying its digest. Raises AgentError when it ends at once."""
    require()
    for suffix in (".pid", ".log"):
        config.with_suffix(suffix).unlink(missing_ok=True)
    # A client over TCP is a descriptor: as many as root may have.
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    argv = [
        "prlimit",
        f"--nofile={highest}",
        *_BOUNDED,
        _PROGRAM,
        "--config",
        str(config),
        "--setenv",
        _DIGEST,
        digest,
        "--daemon",
    ]
    if host.start_daemon(argv).code != 0:
        raise failure(config)


def failure(config: Path) -> AgentError:
    """Return the error for an openvpn that did not come up, with the reason that it wrote down."""
    lines = (files.read_text(config.with_suffix(".log")) or "").splitlines()
    if any("Address already in use" in line for line in lines):
        return AgentError(PORT_TAKEN, "A port of OpenVPN's is taken by another program: free it or choose another.")
    telling = [line for line in lines if "WARNING" not in line and "Exiting due to fatal error" not in line]
    # A line begins with its date and time.
    reason = " ".join(telling[-1].split()[2:])[:200] if telling else "it said nothing"
    return AgentError(FAILED, f"openvpn did not start: {reason}")


def written(config: Path) -> Process | None:
    """Return the process of `config` that wrote its id down, when it lives."""
    text = (files.read_text(config.with_suffix(".pid")) or "").strip()
    return processes.process(int(text), _PROGRAM, {config}) if text.isdecimal() else None


def digest(process: Process) -> str:
    """Return the digest of what a process was started with."""
    return process.after(_DIGEST)


def stop(configs: Collection[Path]) -> bool:
    """End all processes of `configs`, wait until they are gone, and return whether there were any."""
    return processes.stop(_PROGRAM, configs)
