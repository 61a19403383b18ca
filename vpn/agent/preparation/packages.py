"""The distribution's packages that hubs need: which are missing, and their installation in the background."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vpn.agent.system import command, files
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError
from vpn.wire.preparing import HUB_PACKAGES

_APT: Final = (
    *("env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "apt-get", "-q", "-y"),
    *("-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"),
)
_INSTALL_SECONDS: Final = 1200.0
_LOOK_SECONDS: Final = 6.0  # that a look waits for the installation
_POLL_SECONDS: Final = 0.2
_RESULT: Final = "packages.json"
_LOCK: Final = "packages.lock"


def missing() -> list[str]:
    """Return the packages that are not installed."""
    listed = command.try_run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *HUB_PACKAGES]).out
    installed = {
        name for name, _, status in (line.partition(" ") for line in listed.splitlines()) if status == "installed"
    }
    return [name for name in HUB_PACKAGES if name not in installed]


def ensure(state: Path, program: Path, attempt: str) -> bool:
    """Return True once all packages are installed, False while they are being installed; call it again then.

    `program` is the agent's zipapp. Raises AgentError if this attempt failed.
    """
    if not missing():
        return True
    if not _is_running(state):
        result = files.read_json(state / _RESULT)
        if isinstance(result, dict) and result.get("attempt") == attempt:
            raise _failure(missing())
        argv = ["setsid", "--fork", sys.executable, "-I", str(program), "--state", str(state), "install-packages"]
        command.ROOT.start_daemon(argv, environment={"VPN_HUB_ATTEMPT": attempt})
    deadline = time.monotonic() + _LOOK_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        if not _is_running(state) and not missing():
            return True
    return False


def install(state: Path) -> None:
    """Install what is missing, and write the result; the program that `ensure` starts."""
    with _locked(state, patience=1.0) as is_mine:
        if not is_mine:
            return
        wanted = missing()
        result = _apt("install", "--no-install-recommends", "--no-remove", *wanted)
        if result.code != 0:
            # The lists may be outdated.
            update = _apt("update")
            result = _apt("install", "--no-install-recommends", "--no-remove", *wanted)
            files.replace(state / "packages.log", update.out + update.err + result.out + result.err)
        files.replace(state / _RESULT, f'{{"attempt": "{_attempt()}", "code": {result.code}}}')


def _apt(*arguments: str) -> command.Result:
    return command.ROOT.try_run([*_APT, *arguments], seconds=_INSTALL_SECONDS)


def _attempt() -> str:
    return "".join(sign for sign in os.environ.get("VPN_HUB_ATTEMPT", "") if sign.isalnum() or sign == "-")


def _failure(packages: list[str]) -> AgentError:
    message = f"The packages {', '.join(packages)} could not be installed."
    return AgentError(FAILED, message, codes.SERVER_PACKAGES_NOT_INSTALLED.of("+".join(packages)))


def _is_running(state: Path) -> bool:
    with _locked(state) as is_mine:
        return not is_mine


@contextmanager
def _locked(state: Path, patience: float = 0.0) -> Iterator[bool]:
    """Take the lock of the installation; yields whether it was free within `patience` seconds.

    A look whether it is free takes it for a moment.
    """
    descriptor = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _try_lock(descriptor, time.monotonic() + patience)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True
