"""Files of the agent: private from their first byte, replaced whole or not at all."""

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
PROGRAM: Final = 0o750  # one that it runs
_SHARED_DIRECTORY: Final = 0o2750  # what is made in it is of the same group
_MOST_FOREIGN: Final = 64 * 1024  # bytes


def failure(error: OSError) -> AgentError:
    """Return the agent's error for one of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = "The server's disk is full: make room, then try again."
        return AgentError(DISK_FULL, message, codes.SERVER_DISK_FULL.of())
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        message = f"The agent may not write its state ({error.filename}): run it as root."
        return AgentError(NO_RIGHT, message, codes.SERVER_STATE_READ_ONLY.of(error.filename or ""))
    message = f"The server could not write the agent's state: {error.strerror}."
    return AgentError(FAILED, message, codes.SERVER_STATE_NOT_WRITTEN.of(errno.errorcode.get(error.errno or 0, "")))


def private_directory(path: Path) -> None:
    """Make `path` and what is missing above it, readable by the owner alone."""
    if path.is_dir():
        return
    private_directory(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise failure(error) from error


def replace(path: Path, content: str, durable: bool = True, mode: int = 0o600) -> None:
    """Write `content` to `path` so that a reader sees the old or the new whole, also after a power cut.

    Others may not read it, unless `mode` says so. `durable=False` leaves out the flush to the disk, for what may be
    lost.
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
    """Have a group read a directory of the agent's, and all that is put there from now on with the mode `SHARED`.

    What is a daemon's own in it is left alone.
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
    """Return whether a group reads a directory of the agent's."""
    found = directory.stat()
    return found.st_gid == group and found.st_mode & 0o7777 == _SHARED_DIRECTORY


def give(directory: Path, user: int) -> None:
    """Make a directory and the files in it belong to a daemon alone."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.stat()
    if (found.st_uid, found.st_mode & 0o7777) == (user, 0o700):
        return
    for entry in os.scandir(directory):
        os.chown(entry.path, user, user, follow_symlinks=False)
    os.chown(directory, user, user)
    directory.chmod(0o700)


def put_in_place(written: Path, path: Path) -> None:
    """Have the file `written`, which is on the disk, take the place of `path`, also after a power cut."""
    try:
        written.replace(path)
        flush_directory(path.parent)
    except OSError as error:
        raise failure(error) from error


def ensure(path: Path, content: str, mode: int = 0o600) -> bool:
    """Make `path` hold `content` and return whether it did not; a power cut may take it."""
    if read_text(path) == content:
        return False
    replace(path, content, durable=False, mode=mode)
    return True


def flush_directory(path: Path) -> None:
    """Make renames and removals in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: Path, line: str) -> None:
    """Append `line` to `path` and flush it to the disk. A write that failed half-way is taken back."""
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
    """Return what is in `path`, or None when it does not exist."""
    try:
        # Thousands of small files are read for one hub: this is twice as fast as the path's own way.
        with open(path, "rb", buffering=0) as stream:
            return stream.readall().decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_foreign(path: Path) -> str | None:
    """Return what a daemon wrote to `path`, at most 64 KiB, or None where it is no plain file.

    A daemon that was taken over must not have the agent read another file for it, or wait for ever.
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
    """Return the JSON in `path`, or None when it does not exist or holds no JSON."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def remove_tree(path: Path) -> None:
    """Remove the directory `path` with all in it; one that is gone already is fine."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        message = f"The agent could not remove its directory {path}."
        raise AgentError(FAILED, message, codes.SERVER_DIRECTORY_LEFT.of(path))
