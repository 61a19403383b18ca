"""The worker: runs jobs in its own process, one after the other, and keeps the sessions with servers open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import Any

import django_rq
from rq.job import Job
from rq.queue import Queue
from rq.timeouts import UnixSignalDeathPenalty
from rq.worker import DequeueStrategy, SimpleWorker

from vpn.doorbell import PortalJob, PortalQueue
from vpn.drivers import registry
from vpn.jobs.runtime.connections import end_connections
from vpn.jobs.runtime.heartbeat import beat_while_running
from vpn.jobs.servers import open_sessions

# A session with a hub of thousands of peers holds their specification. Revocations do not wait for another session.
_IDLE_SECONDS = 60.0

logger = logging.getLogger(__name__)


class TimeLimit(UnixSignalDeathPenalty):
    """Ends a job whose time is over, and records it, because the exception may be lost in a finalizer."""

    exceeded = False

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        """Raise in the middle of the job."""
        TimeLimit.exceeded = True
        super().handle_death_penalty(signum, frame)  # type: ignore[no-untyped-call]  # rq's is not annotated


def build_worker(names: Sequence[str], *, is_spare: bool = False) -> PortalWorker:
    """Return a worker of these queues."""
    queues = [django_rq.get_queue(name) for name in names]
    worker = PortalWorker(
        queues,
        connection=queues[0].connection,
        job_class=PortalJob,
        queue_class=PortalQueue,
        serializer="rq.serializers.JSONSerializer",
    )
    worker.is_spare = is_spare
    return worker


class PortalWorker(SimpleWorker):
    """A worker that does not fork per job (a fork would lose the session and cost 10 ms)."""

    death_penalty_class = TimeLimit
    # A spare worker serves queues of others. Its heartbeats must not hide that one of them is missing.
    is_spare = False

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Run jobs with heartbeats until told to stop, or until a job runs out of time.

        The queues take turns. A spare worker takes the first queue's jobs first.
        """
        kwargs.setdefault("dequeue_strategy", DequeueStrategy.DEFAULT if self.is_spare else DequeueStrategy.ROUND_ROBIN)
        stop = threading.Event()
        names = ["worker:spare"] if self.is_spare else [f"worker:{queue.name}" for queue in self.queues]
        is_urgent = self.queue_names()[0] == "urgent" and not self.is_spare
        thread = beat_while_running(names, stop, None if is_urgent else partial(registry.close_idle, _IDLE_SECONDS))
        try:
            if "urgent" in self.queue_names():
                open_sessions()
            return super().work(*args, **kwargs)
        finally:
            stop.set()
            thread.join(timeout=5)
            registry.close_all()

    def subscribe(self) -> None:
        """Take no commands over Redis, which rq offers to stop jobs and workers: signals end this process."""

    def perform_job(self, job: Job, queue: Queue, execution: Any) -> bool:
        """Run one job and clean up after it: no open transaction, no broken connection."""
        TimeLimit.exceeded = False
        succeeded: bool = super().perform_job(job, queue, execution)
        end_connections(interrupted=not succeeded or TimeLimit.exceeded)
        if TimeLimit.exceeded:
            # The exception may have interrupted any line of any library, so this process cannot be trusted any more.
            # The supervisor starts a new one.
            logger.error("%s ran out of time; this worker ends, and a new one takes its place", job.func_name)
            self._stop_requested = True
        return succeeded
