"""Processes of openvpn: started with as few rights as work, found by their command line, gone before another starts."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.agent import command, files
from vpn.agent.command import Place
from vpn.agent.errors import FAILED, PORT_TAKEN, AgentError

# To make a tunnel interface and move it takes CAP_NET_ADMIN, to set routes in the hub's namespace CAP_SYS_ADMIN
# (setns(2)). It stays root, for another user could not enter the namespace, but has no other right of root's: none over
# other users' files or processes, and no way to gain more.
_BOUNDED: Final = ("setpriv", "--bounding-set=-all,+net_admin,+sys_admin", "--inh-caps=-all", "--no-new-privs")
# Clients over UDP are told at once to connect anew, then openvpn lingers for two seconds, which nobody needs.
_EXITS: Final = ((signal.SIGTERM, 0.3), (signal.SIGKILL, 3.0))  # signals, each with seconds to wait
_DIGEST: Final = b"HUB_DIGEST"


@dataclass(frozen=True)
class Process:
    """A running openvpn, and the digest of what it was started with."""

    pid: int
    config: Path
    digest: str


def require() -> None:
    """Raise AgentError unless all that `start` needs is installed."""
    for program in ("openvpn", "prlimit", "setpriv"):
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
        "openvpn",
        "--config",
        str(config),
        "--setenv",
        _DIGEST.decode(),
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
    return _process(int(text), {config}) if text.isdecimal() else None


def stop(configs: Collection[Path]) -> bool:
    """End all processes of `configs`, wait until they are gone, and return whether there were any."""
    there = _running(set(configs))
    left = there
    for number, patience in _EXITS:
        for process in left:
            _signal(process.pid, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            left = [process for process in left if not _is_gone(process.pid)]
            time.sleep(0.005)
    if left:
        raise AgentError(FAILED, "An openvpn process does not end: the server may need a restart.")
    return bool(there)


def _running(configs: set[Path]) -> list[Process]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for process in (_process(pid, configs) for pid in pids) if process is not None]


def _is_gone(pid: int) -> bool:
    # A process that ends loses its command line before its sockets: it is gone when only its exit status is left.
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0]
    except OSError:
        return True
    return state in (b"Z", b"X")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _process(pid: int, configs: set[Path]) -> Process | None:
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if argv[0].rsplit(b"/", 1)[-1] != b"openvpn":
        return None
    words = [word.decode(errors="replace") for word in argv]
    config = next((config for config in configs if str(config) in words), None)
    if config is None:
        return None
    return Process(pid, config, words[argv.index(_DIGEST) + 1] if _DIGEST in argv[:-1] else "")
