"""The worker: runs jobs in its own process, one after the other, and keeps the agent's session open."""

from __future__ import annotations

import threading
from typing import Any

from django.db import close_old_connections
from rq.job import Job
from rq.queue import Queue
from rq.worker import SimpleWorker

from vpn.drivers import local
from vpn.jobs.heartbeat import beat_while_running


class PortalWorker(SimpleWorker):
    """A worker that does not fork per job (a fork would lose the session and cost 10 ms)."""

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Work until told to stop, showing signs of life meanwhile."""
        stop = threading.Event()
        thread = beat_while_running([f"worker:{queue.name}" for queue in self.queues], stop)
        try:
            return super().work(*args, **kwargs)
        finally:
            stop.set()
            thread.join(timeout=5)
            local.driver.close()

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job with database connections that are alive."""
        close_old_connections()
        super().execute_job(job, queue)
        close_old_connections()
