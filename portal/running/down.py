"""`make down`: stop the portal and remove this machine's hubs. The database stays; `make up` creates them again."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from portal.running.errors import CannotRunError
from portal.running.hubs import take_hubs_away
from portal.running.layout import Layout
from portal.running.leftovers import end_leftovers
from portal.running.lock import RunLock
from portal.running.options import read_options, with_system_path

ENDS_WITHIN = 15.0


def down() -> int:
    """Stop the portal, remove the hubs, and return the exit code."""
    os.environ["PATH"] = with_system_path(os.environ.get("PATH", ""))
    options = read_options(os.environ)
    layout = Layout(options.data)
    if not layout.run.exists():
        sys.stdout.write("Nothing runs from here.\n")
        return 0
    lock = RunLock(layout.run / "lock")
    _end_portal(lock)
    lock.acquire()
    end_leftovers(str(options.data), patience=6)
    number = take_hubs_away(options)
    sys.stdout.write(f"Down. Hubs removed: {number}.\n")
    return 0


def _end_portal(lock: RunLock) -> None:
    """Tell the holder of the lock to end, and wait for its end."""
    holder = lock.holder()
    if not holder:
        return
    if b"portal.running" not in Path(f"/proc/{holder}/cmdline").read_bytes():
        raise CannotRunError(f"Process {holder} holds {lock.path}, but is not `make up`: end it yourself.")
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + ENDS_WITHIN
    while lock.holder():
        if time.monotonic() > deadline:
            raise CannotRunError(f"The portal (process {holder}) does not end.")
        time.sleep(0.1)
