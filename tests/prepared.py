"""What `make up` prepares before a first start, made once for a run of pytest: a migrated database and static files.

That takes five seconds of processor time. Portals of stories get copies; those in tests/running begin with nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from portal.running.options import CLONE

_NAMES: Final = ("db", "static")
_PREPARE: Final = (
    "from django.core.management import call_command; call_command('migrate', interactive=False, verbosity=0);"
    " from portal.management.commands import prepare; prepare._collect_static()"
)


def copy_prepared(data: Path) -> None:
    """Copy the database and static files of this version into a new data directory."""
    # All processes of one run have the same directory.
    made = Path(os.environ["DATA_DIR"]) / "prepared"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _prepare(made.with_suffix(".new")).rename(made)
    for name in _NAMES:
        shutil.copytree(made / name, data / name)


def _prepare(data: Path) -> Path:
    for name in _NAMES:
        (data / name).mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", _PREPARE],
        cwd=CLONE,
        env=environment | {"DATA_DIR": str(data)},
        check=True,
    )
    return data
