"""Let a forked process without root's rights enter the clone, even below a directory that only root may enter.

It has loaded the application already, and keeps the paths. So it gets a mount namespace of its own, in which an empty
directory covers the closed one, and holds only clone and data.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from portal.running.account import Account
from portal.running.confine import Confinement

_CLONE_NEWNS: Final = 0x20000  # unshare(2)
# mount(2)
_MS_NOSUID: Final = 1 << 1
_MS_NODEV: Final = 1 << 2
_MS_BIND: Final = 1 << 12
_MS_REC: Final = 1 << 14
_MS_PRIVATE: Final = 1 << 18
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def cover_closed(confinement: Confinement) -> None:
    """Cover the directories that the service may not enter, for this process alone. Raises OSError."""
    _succeed(_LIBC.unshare(_CLONE_NEWNS), "unshare")
    # No mount below reaches another process.
    _mount("none", Path("/"), flags=_MS_REC | _MS_PRIVATE)
    for source, aside in confinement.binds.items():
        _mount(str(source), aside, flags=_MS_BIND)
    for closed in closed_directories(confinement.binds, confinement.service):
        _mount("none", closed, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=64k")
    before = os.umask(0o022)
    for source, aside in confinement.binds.items():
        source.mkdir(parents=True, exist_ok=True)
        _mount(str(aside), source, flags=_MS_BIND)
    os.umask(before)
    os.chdir(confinement.options.clone)


def closed_directories(paths: Collection[Path], account: Account) -> set[Path]:
    """Return the uppermost directory above each path that an account may not enter, as far as there is one."""
    found = (next((one for one in reversed(path.parents) if not _may_enter(one, account)), None) for path in paths)
    return {closed for closed in found if closed is not None}


def _may_enter(directory: Path, account: Account) -> bool:
    there = directory.stat()
    if there.st_uid == account.uid:
        return bool(there.st_mode & stat.S_IXUSR)
    if there.st_gid == account.gid:
        return bool(there.st_mode & stat.S_IXGRP)
    return bool(there.st_mode & stat.S_IXOTH)


def _mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    words = [os.fsencode(word) or None for word in (source, str(target), kind, data)]
    _succeed(_LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), str(target))


def _succeed(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
