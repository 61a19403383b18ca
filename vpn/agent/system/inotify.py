"""The limit of inotify instances (inotify(7)). Each wireguard-go needs one, and Debian allows root 128 of them."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from typing import Final

from vpn.agent.system import sysctl
from vpn.agent.system.command import Netns
from vpn.wire import codes
from vpn.wire.errors import FAILED, AgentError

LIMIT: Final = "fs.inotify.max_user_instances"
# The limit of the whole server, and that of a container's user namespace.
_LIMITS: Final = (LIMIT, "user.max_inotify_instances")
_LEAST: Final = 1024
_MOST: Final = 65536


def has_room() -> bool:
    """Return True if this user may create another instance."""
    library = ctypes.CDLL(None, use_errno=True)
    found: int = library.inotify_init1(os.O_CLOEXEC)
    if found >= 0:
        os.close(found)
        return True
    return ctypes.get_errno() not in (errno.EMFILE, errno.ENFILE)


def make_room(host: Netns) -> None:
    """Raise the limits as far as the server allows. They are never lowered."""
    for name in _LIMITS:
        with suppress(AgentError, ValueError):
            now = int(host.run(["sysctl", "-n", name]))
            sysctl.raise_to(host, name, min(max(_LEAST, 2 * now), _MOST))


def refusal() -> AgentError:
    """Return the error for limits that are used up and could not be raised."""
    setting = f"{LIMIT}={_LEAST}"
    message = (
        f"wireguard-go did not start: the server has no inotify instance left for it. Raise the limit: "
        f"sysctl -w {setting}."
    )
    return AgentError(FAILED, message, codes.WIREGUARD_NO_INOTIFY.of(setting))
