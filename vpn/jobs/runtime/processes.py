"""The processes that run jobs, by name: workers of one or several queues, and the schedule."""

from __future__ import annotations

import threading
from importlib import import_module

from portal.running import family
from vpn.doorbell import ALLOWED_JOBS
from vpn.jobs.runtime.on_demand import start_on_demand
from vpn.jobs.runtime.queues import OF_PROCESS, SPARE
from vpn.jobs.runtime.schedule import run_schedule
from vpn.jobs.runtime.worker import build_worker

# Loaded with this module, so that processes which are forked share them.
for _job in ALLOWED_JOBS:
    import_module(_job.rpartition(".")[0])


def run_process(name: str) -> None:
    """Run the process of this name until a signal stops it, or until it has no work if it runs on demand."""
    if name == "schedule":
        run_schedule()
        return
    worker = build_worker(OF_PROCESS.get(name, [name]), is_spare=name == SPARE)
    worker.ends_when_idle = family.is_on_demand(name)
    stop = threading.Event()
    if name == "urgent" and family.is_on_demand(SPARE):
        start_on_demand(stop)
    try:
        worker.work(logging_level="WARNING")
    finally:
        stop.set()
