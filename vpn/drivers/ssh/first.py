"""The first program on a server, sent over standard input: it stores the agent and lets it prepare the server.

It has to be understood by every Python 3, also one that is too old for the agent.
"""

import base64
import errno
import importlib
import json
import os
import sys
import time
from typing import Any

BEGAN = time.time()
OLDEST = (3, 10)


def say(step: str, state: str, fault: str = "") -> None:
    """Print a line for a step, as `vpn.drivers.ssh.preparation` reads it."""
    print(json.dumps({"step": step, "state": state, "fault": fault, "value": "", "finding": None}), flush=True)


def main(state: str, version: str, packed: str, request: dict) -> int:  # type: ignore[type-arg]
    """Check what the agent itself needs, store it and call it; return an exit status."""
    if os.geteuid() != 0:
        say("rights", "failed", "not-root")
        return 1
    say("rights", "done")
    if sys.version_info < OLDEST:
        say("python", "failed", "python-old")
        return 1
    say("python", "done")
    os.umask(0o077)
    try:
        program = store(os.path.join(state, "agent"), version, base64.b64decode(packed))
    except OSError as error:
        say("disk", "failed", "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "not-written")
        return 1
    sys.path.insert(0, program)
    prepare: Any = importlib.import_module("vpn.agent.preparation.run").prepare
    return int(prepare({"attempt": request["attempt"], "ahead": BEGAN - request["now"]}, program))


def store(directory: str, version: str, packed: bytes) -> str:
    """Write the zipapp, unless it is there; return its path."""
    path = os.path.join(directory, version + ".pyz")
    os.makedirs(directory, exist_ok=True)
    if os.path.exists(path) and os.path.getsize(path) == len(packed):
        return path
    temporary = path + "." + str(os.getpid())
    try:
        with open(temporary, "wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return path
