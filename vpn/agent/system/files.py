"""Files of the agent: private from the start, and replaced atomically."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Final

from vpn.wire import codes
from vpn.wire.errors import DISK_FULL, FAILED, NO_RIGHT, AgentError

SHARED: Final = 0o640  # a file that a daemon reads
PROGRAM: Final = 0o750  # a script that a daemon runs
_SHARED_DIRECTORY: Final = 0o2750  # setgid: new files in it get its group
_MOST_FOREIGN: Final = 64 * 1024  # bytes


def failure(error: OSError) -> AgentError:
    """Return the agent's error for an error of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = "The server's disk is full: make room, then try again."
        return AgentError(DISK_FULL, message, codes.SERVER_DISK_FULL.of())
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        message = f"The agent may not write its state ({error.filename}): run it as root."
        return AgentError(NO_RIGHT, message, codes.SERVER_STATE_READ_ONLY.of(error.filename or ""))
    message = f"The server could not write the agent's state: {error.strerror}."
    return AgentError(FAILED, message, codes.SERVER_STATE_NOT_WRITTEN.of(errno.errorcode.get(error.errno or 0, "")))


def private_directory(path: Path) -> None:
    """Create `path` and missing parents, readable by the owner only."""
    if path.is_dir():
        return
    private_directory(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise failure(error) from error


def replace(path: Path, content: str, durable: bool = True, mode: int = 0o600) -> None:
    """Replace the content of `path` atomically, also with regard to a power cut.

    Only the owner may read it, unless `mode` differs. `durable=False` skips the flush to the disk, for files that may
    be lost.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(content)
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            flush_directory(path.parent)
    except OSError as error:
        raise failure(error) from error


def share(directory: Path, group: int) -> None:
    """Let a group read a directory, its files, and new files with the mode `SHARED`.

    Files that belong to a daemon are not changed.
    """
    for place, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if (Path(place) / name).lstat().st_uid == os.geteuid()]
        os.chown(place, -1, group)
        os.chmod(place, _SHARED_DIRECTORY)
        for name in names:
            path = Path(place) / name
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                os.chown(path, -1, group)
                path.chmod(PROGRAM if found.st_mode & stat.S_IXUSR else SHARED)


def is_shared(directory: Path, group: int) -> bool:
    """Return True if a directory is shared with the group."""
    found = directory.stat()
    return found.st_gid == group and found.st_mode & 0o7777 == _SHARED_DIRECTORY


def give(directory: Path, user: int) -> None:
    """Make a daemon's user the owner of a directory and its files."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.stat()
    if (found.st_uid, found.st_mode & 0o7777) == (user, 0o700):
        return
    for entry in os.scandir(directory):
        os.chown(entry.path, user, user, follow_symlinks=False)
    os.chown(directory, user, user)
    directory.chmod(0o700)


def put_in_place(written: Path, path: Path) -> None:
    """Rename the file `written`, which is flushed already, to `path`, durably."""
    try:
        written.replace(path)
        flush_directory(path.parent)
    except OSError as error:
        raise failure(error) from error


def ensure(path: Path, content: str, mode: int = 0o600) -> bool:
    """Write `content` to `path` if it differs; return True if it did. It is not flushed to the disk."""
    if read_text(path) == content:
        return False
    replace(path, content, durable=False, mode=mode)
    return True


def flush_directory(path: Path) -> None:
    """Flush renames and removals in `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: Path, line: str) -> None:
    """Append `line` to `path` and flush it to the disk. An incomplete write is undone."""
    data = line.encode() + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
                _all_written(written, data, path)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise failure(error) from error


def _all_written(written: int, data: bytes, path: Path) -> None:
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def read_text(path: Path) -> str | None:
    """Return the content of `path`, or None if it does not exist."""
    try:
        # A hub may have thousands of small files: this is twice as fast as Path.read_bytes.
        with open(path, "rb", buffering=0) as stream:
            return stream.readall().decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_foreign(path: Path) -> str | None:
    """Return what a daemon wrote to `path`, at most 64 KiB, or None if it is not a regular file.

    A compromised daemon must not make the agent read another file (a link), or block for ever (a pipe).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, _MOST_FOREIGN).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """Return the JSON in `path`, or None if the file does not exist or is not valid JSON."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def remove_tree(path: Path) -> None:
    """Remove the directory `path` with its content. Calling it twice is harmless."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        message = f"The agent could not remove its directory {path}."
        raise AgentError(FAILED, message, codes.SERVER_DIRECTORY_LEFT.of(path))
