"""The only place that runs commands: with argument lists, never a shell, and with secrets on standard input only.

Tests forbid commands with `forbid()`, except those that need real ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from vpn.wire import codes
from vpn.wire.errors import DISK_FULL, FAILED, NO_RIGHT, PACKAGE_MISSING, AgentError

TIMEOUT: Final = 25.0  # seconds
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "LOG_LEVEL": "silent",
}
NAMESPACES: Final = "/run/netns"

# The Debian package of each program.
PACKAGES: Final = {
    "ip": "iproute2",
    "ss": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "nft": "nftables",
    "conntrack": "conntrack",
    "openvpn": "openvpn",
    "dnsmasq": "dnsmasq-base",
    "prlimit": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "pivot_root": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "chroot": "coreutils",
}

_state = {"forbidden": False}
# Where installed programs were found, by the PATH of that time and their name.
_found: dict[tuple[str, str], str] = {}


class CommandsForbiddenError(RuntimeError):
    """A command was called while commands are forbidden."""


@contextmanager
def forbid(value: bool = True) -> Iterator[None]:
    """Forbid commands inside the `with` block; `forbid(False)` inside of it allows them again."""
    before, _state["forbidden"] = _state["forbidden"], value
    try:
        yield
    finally:
        _state["forbidden"] = before


def refuse_forbidden(what: str) -> None:
    """Raise CommandsForbiddenError while commands are forbidden."""
    if _state["forbidden"]:
        raise CommandsForbiddenError(f"{what} was called while commands are forbidden")


@dataclass(frozen=True)
class Result:
    """The exit status and the output of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Netns:
    """A network namespace to run commands in, by its name under /run/netns; None is the agent's own."""

    name: str | None = None

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the argument list that runs `argv` in this namespace."""
        if self.name is None:
            return list(argv)
        return ["nsenter", f"--net={NAMESPACES}/{self.name}", "--", *argv]

    def run(self, argv: Sequence[str], stdin: str = "") -> str:
        """Run `argv` in this namespace and return its output. Raises AgentError if it fails."""
        return _checked(self.argv(argv), argv[0], self.try_run(argv, stdin))

    def try_run(self, argv: Sequence[str], stdin: str = "", *, seconds: float = TIMEOUT) -> Result:
        """Run `argv` in this namespace and return its result, even if it fails. It may take `seconds`."""
        return _call(self.argv(argv), argv[0], stdin, seconds=seconds)

    def start_daemon(
        self,
        argv: Sequence[str],
        *,
        stdin: int = subprocess.DEVNULL,
        descriptors: Collection[int] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Result:
        """Run a program that goes to the background, in a new session.

        It inherits only `stdin` and `descriptors`, which keep their numbers.
        """
        # The daemon outlives the agent. So it must not share the agent's process group (a supervisor kills groups), its
        # standard streams (an SSH session would not end) or its descriptors (a lock would never be released).
        given = _Given(stdin, tuple(descriptors), dict(environment))
        return _call(self.argv(argv), argv[0], None, given)


ROOT: Final = Netns()


def run(argv: Sequence[str], stdin: str = "") -> str:
    """Run `argv` in the agent's namespace and return its output. Raises AgentError if it fails."""
    return ROOT.run(argv, stdin)


def try_run(argv: Sequence[str], stdin: str = "") -> Result:
    """Run `argv` in the agent's namespace and return its result, even if it fails."""
    return ROOT.try_run(argv, stdin)


def require(program: str) -> None:
    """Raise AgentError unless `program` is installed."""
    where = ENVIRONMENT["PATH"]
    if os.path.exists(_found.get((where, program), "")):
        return
    path = shutil.which(program, path=where)
    if path is None:
        raise missing(program)
    _found[where, program] = path


def missing(program: str) -> AgentError:
    """Return the error for a program that is not installed."""
    package = PACKAGES.get(program, program)
    message = f"The server has no {program}: install the package {package}."
    return AgentError(PACKAGE_MISSING, message, codes.SERVER_PACKAGE_MISSING.of(package))


@dataclass(frozen=True)
class _Given:
    """What a daemon inherits from the agent."""

    stdin: int = subprocess.DEVNULL
    descriptors: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def _call(
    argv: list[str], program: str, stdin: str | None, given: _Given = _Given(), *, seconds: float = TIMEOUT
) -> Result:
    refuse_forbidden(program)
    quiet = stdin is None
    try:
        done = subprocess.run(  # noqa: S603
            argv,
            input=None if stdin is None else stdin.encode(),
            stdin=given.stdin if quiet else None,
            stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else subprocess.PIPE,
            timeout=seconds,
            check=False,
            close_fds=True,
            pass_fds=given.descriptors,
            start_new_session=quiet,
            env={**ENVIRONMENT, **given.environment},
            cwd="/",
        )
    except FileNotFoundError:
        raise missing(argv[0]) from None
    except PermissionError:
        message = f"The agent may not run {program}: run it as root."
        raise AgentError(NO_RIGHT, message, codes.SERVER_PROGRAM_FORBIDDEN.of(program)) from None
    except OSError as error:
        message = f"The server could not run {program}: {os.strerror(error.errno or 0)}."
        raise AgentError(FAILED, message, codes.SERVER_PROGRAM_NOT_RUN.of(program)) from error
    except subprocess.TimeoutExpired:
        message = f"{program} did not end within {seconds:.0f} seconds."
        raise AgentError(FAILED, message, codes.SERVER_PROGRAM_SLOW.of(program)) from None
    if done.returncode == 127 and program != argv[0]:
        # nsenter(1) did not find the program.
        raise missing(program)
    return Result(
        done.returncode, (done.stdout or b"").decode(errors="replace"), (done.stderr or b"").decode(errors="replace")
    )


def _checked(argv: list[str], program: str, result: Result) -> str:
    if result.code == 0:
        return result.out
    raise explain(program, result)


def explain(program: str, result: Result) -> AgentError:
    """Return the error for a failed command. It never contains standard input, which may have keys."""
    lowered = result.err.lower()
    if "operation not permitted" in lowered or "permission denied" in lowered:
        message = f"The agent may not use {program} here: run it as root, with the right to administer the network."
        return AgentError(NO_RIGHT, message, codes.SERVER_PROGRAM_FORBIDDEN.of(program))
    if "no space left on device" in lowered:
        message = "The server has no space left: make room, then try again."
        return AgentError(DISK_FULL, message, codes.SERVER_DISK_FULL.of())
    if result.code == 127:
        return missing(program)
    lines = [line.strip() for line in result.err.splitlines() if line.strip()]
    reason = lines[0][:200] if lines else f"exit status {result.code}"
    return AgentError(FAILED, f"{program} failed: {reason}", codes.SERVER_PROGRAM_FAILED.of(program))
