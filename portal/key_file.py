"""The current sealing keys: from SECRET_KEYS, or from a file that every process reads again when it changes.

So a new first key in the file takes effect in a running portal at once.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Final

from django.conf import settings

_SHORTEST: Final = 32  # characters
_State = tuple[int, int, int]


class KeyFileError(Exception):
    """The keys are not in a file, or the file is invalid."""


_read: tuple[Path, _State, list[str]] | None = None


def secret_keys() -> list[str]:
    """The sealing keys, newest first."""
    global _read  # noqa: PLW0603 - the file's content, cached in this process
    file: Path | None = settings.SECRET_KEYS_FILE
    if file is None:
        return list(settings.SECRET_KEYS)
    try:
        state = _state_of(file)
        if _read is None or _read[:2] != (file, state):
            keys = file.read_text().split()
            # If the file is incomplete or missing, keep the known keys.
            if not keys or any(len(key) < _SHORTEST for key in keys):
                return _read[2] if _read else list(settings.SECRET_KEYS)
            _read = (file, state, keys)
    except OSError:
        return _read[2] if _read else list(settings.SECRET_KEYS)
    return _read[2]


def add_key() -> None:
    """Add a new first key to the file. Raises KeyFileError if the keys come from the environment."""
    file = _file()
    _replace(file, [secrets.token_urlsafe(48), *file.read_text().split()])


def forget_old_keys() -> int:
    """Remove all keys except the newest from the file; return how many. Raises KeyFileError as above."""
    file = _file()
    newest, *older = file.read_text().split()
    _replace(file, [newest])
    return len(older)


def seconds_since_change() -> float:
    """Seconds since the file last changed. Raises KeyFileError as above."""
    return time.time() - _file().stat().st_mtime


def _file() -> Path:
    file: Path | None = settings.SECRET_KEYS_FILE
    if file is None:
        raise KeyFileError("The keys are in the variable SECRET_KEYS: change it there, then restart every process.")
    return file


def _replace(file: Path, keys: list[str]) -> None:
    """Replace the file atomically, keeping its owner and mode."""
    found = file.stat()
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".secret_keys-")
    try:
        with os.fdopen(handle, "w") as made:
            os.fchown(made.fileno(), found.st_uid, found.st_gid)
            os.fchmod(made.fileno(), found.st_mode & 0o7777)
            made.write("".join(f"{key}\n" for key in keys))
            made.flush()
            os.fsync(made.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _state_of(file: Path) -> _State:
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
