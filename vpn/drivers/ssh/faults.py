"""What went wrong with a connection, from what OpenSSH, sudo and Python print."""

from __future__ import annotations

from typing import Final

from vpn import failures
from vpn.drivers.base import SshAddress
from vpn.wire.finding import Code, Finding

# sudo also prints warnings, such as that it cannot resolve the host's own name.
_SUDO: Final = (
    *("a password is required", "a terminal is required", "is not in the sudoers", "is not allowed to execute"),
    *("may not run sudo", "sudo: not found", "sudo: command not found", "sudo: no such file"),
)
# In order: the first one that is printed counts.
_SIGNS: Final[tuple[tuple[Code, tuple[str, ...]], ...]] = (
    (
        failures.HOST_KEY_CHANGED,
        ("host key verification failed", "host identification has changed", "no matching host key"),
    ),
    (failures.KEY_NOT_AUTHORISED, ("permission denied (",)),
    (failures.NO_SUDO, _SUDO),
    (failures.PYTHON_MISSING, ("/usr/bin/python3: not found", "/usr/bin/python3: no such file")),
    (failures.AGENT_NOT_INSTALLED, ("can't open file", "can't find '__main__' module")),
    (failures.SERVER_DISK_FULL, ("no space left on device",)),
)
_NAMED: Final = frozenset({failures.HOST_KEY_CHANGED, failures.KEY_NOT_AUTHORISED, failures.NO_SUDO})
# OpenSSH's own exit status for a connection that failed.
_SSH_FAILED: Final = 255


def fault_of(address: SshAddress, printed: str, status: int | None = None) -> Finding:
    """Return the reason for which a command did not run on the server, from its standard error and exit status."""
    lowered = printed.lower()
    for code, signs in _SIGNS:
        if any(sign in lowered for sign in signs):
            return code.of(address.user if code in _NAMED else "")
    if status in {None, _SSH_FAILED}:
        return failures.SERVER_SILENT.of(address.place)
    return failures.COMMAND_FAILED.of(status)
