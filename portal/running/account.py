"""The unprivileged system account of web, schedule and Redis."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass

from portal.running.errors import CannotRunError

SERVICE_USER = "vpnportal"


@dataclass(frozen=True)
class Account:
    """The system account of a process."""

    name: str
    uid: int
    gid: int


def current_account() -> Account:
    """The account that runs this process."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container, the user id may have no name
        name = str(uid)
    return Account(name, uid, os.getegid())


def service_account(*, root: bool) -> Account:
    """The unprivileged account, created if root has none yet; without root, the current account."""
    if not root:
        return current_account()
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        _create()
        entry = pwd.getpwnam(SERVICE_USER)
    if entry.pw_uid == 0:
        raise CannotRunError(f"The account {SERVICE_USER} has the rights of root: it must be an unprivileged one.")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create() -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", SERVICE_USER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and not _exists():  # another `make up` may have created it meanwhile
        raise CannotRunError(f"The system account {SERVICE_USER} could not be created: {done.stderr.strip()}")


def _exists() -> bool:
    try:
        pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return False
    return True
