"""The processes that run jobs, by name: workers of one or several queues, and the schedule."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from vpn.doorbell import ALLOWED_JOBS
from vpn.jobs.runtime.schedule import run_schedule
from vpn.jobs.runtime.worker import build_worker

SPARE: Final = "spare"
# The queues of those processes that are not named after their only one.
_QUEUES: Final = {
    # Both talk to servers outside of the portal, and need no driver.
    "mail": ["mail", "names"],
    # Takes a job of each in turn: none of them waits for more than two jobs of the others.
    "provision": ["knock", "destroy", "provision"],
    # For queues whose jobs may take seconds, so that a slow job does not block the others.
    SPARE: ["urgent", "apply", "destroy", "provision"],
}

# Loaded with this module, so that processes which are forked share them.
for _job in ALLOWED_JOBS:
    import_module(_job.rpartition(".")[0])


def run_process(name: str) -> None:
    """Run the process of this name until a signal stops it."""
    if name == "schedule":
        run_schedule()
    else:
        build_worker(_QUEUES.get(name, [name]), is_spare=name == SPARE).work(logging_level="WARNING")
