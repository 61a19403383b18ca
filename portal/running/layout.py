"""The data directory: paths, owners and modes."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from portal.running.account import Account
from portal.running.errors import CannotRunError

LONGEST_SOCKET_PATH = 98  # sun_path of unix(7), less the final zero, and the suffix of the supervisor's temporary name


class Layout:
    """The paths below DATA_DIR. Directories of the service are separate from those that root trusts."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.database = data / "db"  # SQLite, shared by the unprivileged web process and root's workers
        self.redis = data / "redis"  # the private Redis
        self.redis_socket = self.redis / "redis.sock"
        self.static = data / "static"  # collected static files
        self.keys = data / "keys"  # what seals secrets at rest
        self.secret_keys = self.keys / "secret_keys"  # one a line, newest first
        self.hub = data / "hub"  # the agent's state
        self.logs = data / "logs"  # one file a process, rotated
        self.run = data / "run"  # the lock and the supervisor's files
        self.supervisor_socket = self.run / "supervisor.sock"


def prepare_layout(layout: Layout, service: Account) -> None:
    """Create every directory with its owner and mode, and correct existing ones."""
    for socket in (layout.redis_socket, layout.supervisor_socket):
        if len(os.fsencode(socket)) > LONGEST_SOCKET_PATH:
            raise CannotRunError(f"The path {socket} is too long for a socket: choose a shorter DATA_DIR.")
    try:
        _make_data(layout.data, service)
        for directory in (layout.hub, layout.logs, layout.run):
            _own(directory, os.geteuid(), os.getegid(), 0o700)
        for directory in (layout.database, layout.redis, layout.static):
            _own(directory, service.uid, service.gid, 0o700)
            _hand_over(directory, service)
        _own(layout.keys, os.geteuid(), service.gid, 0o750)
        _make_keys(layout.secret_keys, service)
    except PermissionError as error:
        raise CannotRunError(
            f"{error.filename} belongs to another user: run `make up` as the user who ran it before, or as root."
        ) from error


def share_database(layout: Layout, service: Account) -> None:
    """Create SQLite's companion files (WAL), owned by the service, before a process opens the database.

    If root's worker opened it first, the files would belong to root for a moment, and a web process that opens them
    then could only read. They exist as long as any process has the database open.
    """
    database = layout.database / "portal.sqlite3"
    if os.geteuid() != 0 or not database.exists():
        return
    for ending in ("-wal", "-shm"):
        path = database.with_name(database.name + ending)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchown(descriptor, service.uid, service.gid)
        os.close(descriptor)


def _make_data(data: Path, service: Account) -> None:
    """Let the service traverse the data directory, regardless of the umask. It owns only its subdirectories."""
    data.mkdir(mode=0o755, parents=True, exist_ok=True)
    mode = data.stat().st_mode
    if os.geteuid() == 0 and not mode & 0o001:
        os.chown(data, -1, service.gid)
        data.chmod(mode | 0o010)


def _own(path: Path, uid: int, gid: int, mode: int) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)
    if found.st_mode & 0o7777 != mode:
        path.chmod(mode)


def _hand_over(directory: Path, service: Account) -> None:
    """Change the owner of files from an earlier run under another user. Links are never followed."""
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            if os.lstat(path).st_uid != service.uid:
                os.chown(path, service.uid, service.gid, follow_symlinks=False)


def _make_keys(path: Path, service: Account) -> None:
    """Create the first sealing key. From the start, only root and the service may read it."""
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
    if os.geteuid() == 0:
        os.chown(path, 0, service.gid, follow_symlinks=False)
    path.chmod(0o640 if os.geteuid() == 0 else 0o600)
