"""The limit of inotify instances (inotify(7)): each wireguard-go and each dnsmasq needs one, and Debian allows 128.

They count by user. Each hub's daemons have users of their own, but in a container all of its users may count as one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from vpn.agent.system import command, sysctl
from vpn.agent.system.command import Netns
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

LIMIT: Final = "fs.inotify.max_user_instances"
# The limit of the whole server, and that of a container's user namespace.
_LIMITS: Final = (LIMIT, "user.max_inotify_instances")
_LEAST: Final = 1024
_MOST: Final = 65536

# What another user runs to find out. Any other exit status says nothing.
_PROBE: Final = "import ctypes, sys; sys.exit(7 if any(ctypes.CDLL(None).inotify_init1(0) < 0 for _ in 'ab') else 0)"
_FULL: Final = 7
# For wireguard-go and dnsmasq.
_NEEDED: Final = 2


def has_room(user: int = 0) -> bool:
    """Return True if root or this user may create the instances that a hub needs. To check root's count is quicker."""
    if _has_own_room():
        return True
    if not user:
        return False
    argv = ["setpriv", f"--reuid={user}", "--clear-groups", sys.executable, "-I", "-c", _PROBE]
    return command.try_run(argv).code != _FULL


def _has_own_room() -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    found: list[int] = [library.inotify_init1(os.O_CLOEXEC) for _ in range(_NEEDED)]
    code = ctypes.get_errno()
    for descriptor in found:
        if descriptor >= 0:
            os.close(descriptor)
    return min(found) >= 0 or code not in (errno.EMFILE, errno.ENFILE)


def make_room(host: Netns) -> dict[str, tuple[int, int]]:
    """Raise the limits as far as the server allows; return those raised, with the values before and after."""
    raised = {}
    for name in _LIMITS:
        with suppress(AgentError, ValueError):
            before = int(host.run(["sysctl", "-n", name]))
            after = min(max(_LEAST, 2 * before), _MOST)
            if sysctl.raise_to(host, name, after):
                raised[name] = before, after
    return raised


def put_back(host: Netns, raised: Mapping[str, tuple[int, int]]) -> None:
    """Write the values before, except where another program has changed the limit since."""
    for name, (before, after) in raised.items():
        with suppress(AgentError, ValueError):
            if name in _LIMITS and int(host.run(["sysctl", "-n", name])) == after:
                sysctl.write_limit(host, name, before)


def refusal() -> AgentError:
    """Return the error for limits that are used up and could not be raised."""
    setting = f"{LIMIT}={_LEAST}"
    message = (
        f"wireguard-go cannot start: the server has no inotify instance left for it. Raise the limit: "
        f"sysctl -w {setting}."
    )
    return AgentError(FAILED, message, codes.WIREGUARD_NO_INOTIFY.of(setting))
