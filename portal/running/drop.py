"""Drop root's rights in a forked process, as `Confinement.command` does for one that is executed."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

from portal.running.account import Account
from portal.running.confine import Confinement
from portal.running.cover import cover_closed

_LAST_CAPABILITY: Final = Path("/proc/sys/kernel/cap_last_cap")
# prctl(2)
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
# capset(2): two halves of three sets of 32 capabilities each.
_CAPABILITY_VERSION_3: Final = 0x20080522
_SETS: Final = ctypes.c_uint32 * 6


def become_service(confinement: Confinement) -> None:
    """Become the service's account in this process, with its environment. Raises OSError."""
    # The paths stay: see `cover`.
    environment = confinement.environment(os.environ) | {"DATA_DIR": os.environ["DATA_DIR"]}
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = True
    if confinement.binds:
        cover_closed(confinement)
    if confinement.options.root:
        drop_rights(confinement.service)


def drop_rights(account: Account) -> None:
    """Become an account without any capability, and without a way to gain one. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(int(_LAST_CAPABILITY.read_text()) + 1):
        _succeed(libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    _succeed(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    os.initgroups(account.name, account.gid)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _succeed(libc.capset(header, _SETS()))
    _succeed(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _succeed(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
