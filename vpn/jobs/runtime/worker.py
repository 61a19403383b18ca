"""The worker: runs jobs in its own process, one after the other, and keeps the sessions with servers open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import connections
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq.job import Job
from rq.queue import Queue
from rq.worker import DequeueStrategy, SimpleWorker

from portal.growth import USUAL_AGE, Growth
from vpn.doorbell import REGION_QUEUES, PortalJob, PortalQueue, regions_with_queues
from vpn.drivers import registry
from vpn.jobs.runtime.connections import end_connections
from vpn.jobs.runtime.heartbeat import beat_while_running
from vpn.jobs.runtime.looks import wait_for_looks
from vpn.jobs.runtime.queues import IS_BUSY_AFTER
from vpn.jobs.runtime.regions import heartbeats_of, queues_of, served_regions
from vpn.jobs.runtime.time_limit import TimeLimit
from vpn.jobs.servers import open_sessions

# A region that is added is served after this time at the latest.
_NEW_REGIONS_AFTER = 10  # seconds
# What still runs then is ended with its sessions. A look may be cut off anywhere.
_ENDS_WITHIN = 2.0
# A session with a hub of thousands of peers holds their specification. Revocations do not wait for another session.
_IDLE_SECONDS = 60.0
# Seconds without a job until a worker may end; that of `observe` has one every few seconds.
_PAUSE = 30
_SESSIONS_EVERY = 10.0  # seconds
_OBSERVER_PAUSE = 2
# Between two of rq's own heartbeats without a job. Each is three requests; the worker's key lasts 90 s after a job.
_RQ_HEARTBEAT_SECONDS = 30.0
# Its sessions have to read the specifications of all hubs again.
_OBSERVER_AGE = 1800.0

logger = logging.getLogger(__name__)


def build_worker(names: Sequence[str], *, is_spare: bool = False) -> PortalWorker:
    """Return a worker of these queues."""
    queues = queues_of(names, served_regions())
    worker = PortalWorker(
        queues,
        connection=queues[0].connection,
        job_class=PortalJob,
        queue_class=PortalQueue,
        serializer="rq.serializers.JSONSerializer",
    )
    worker.is_spare = is_spare
    # A connection from before has a shorter limit than the worker's wait for a job, which would end with an error.
    worker.connection.connection_pool.disconnect()
    worker.connection.connection_pool.reset()
    return worker


class PortalWorker(SimpleWorker):
    """A worker that does not fork per job (a fork would lose the session and cost 10 ms)."""

    death_penalty_class = TimeLimit
    # A spare worker serves queues of others. Its heartbeats must not hide that one of them is missing.
    is_spare = False
    # For one that runs on demand.
    ends_when_idle = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._next_rq_heartbeat = 0.0
        self._next_sessions = 0.0
        names = self.queue_names()
        # Its queues without their regions, and these.
        self.names = list(dict.fromkeys(name.partition(":")[0] for name in names))
        self._regions = {region for _, _, region in (name.partition(":") for name in names) if region}
        is_observer = "observe" in self.names
        self._growth = Growth(_OBSERVER_AGE if is_observer else USUAL_AGE)
        # Only to end: each pause that is over wakes a worker that has nothing to do.
        self._shortest_pause = _OBSERVER_PAUSE if is_observer else _PAUSE

    @property
    def dequeue_timeout(self) -> int:
        """The seconds until it looks for queues of new regions."""
        return _NEW_REGIONS_AFTER

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Run jobs with heartbeats until told to stop, or until a job runs out of time.

        The queues take turns. A spare worker takes the first queue's jobs first.
        """
        kwargs.setdefault("dequeue_strategy", DequeueStrategy.DEFAULT if self.is_spare else DequeueStrategy.ROUND_ROBIN)
        stop = threading.Event()
        beats = ["worker:spare"] if self.is_spare else heartbeats_of(self.names)
        thread = beat_while_running(beats, stop, self._look_after)
        try:
            return super().work(*args, **kwargs)
        finally:
            stop.set()
            wait_for_looks(_ENDS_WITHIN)
            thread.join(timeout=5)
            registry.close_all()

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Wait for a job. One on demand ends when none comes for a while, and one that has grown: a new one follows."""
        while True:
            pause = self._shortest_pause if self._growth.is_too_large() else _PAUSE
            if not self.is_spare or timeout is None:
                found = super().dequeue_job_and_maintain_ttl(timeout, pause)
            else:
                found = super().dequeue_job_and_maintain_ttl(None) if self._awaits_a_job(pause) else None
            is_done = found is not None or timeout is None
            if is_done or self.ends_when_idle or self._growth.is_too_large():
                return found

    def _awaits_a_job(self, seconds: float) -> bool:
        """Return True once a job waits that its own worker does not take, which is busy; False after `seconds`."""
        ends, seen = time.monotonic() + seconds, set[bytes]()
        while time.monotonic() < ends:
            with suppress(RedisError, OSError), self.connection.pipeline(transaction=False) as pipeline:
                for queue in self.queues:
                    pipeline.lindex(queue.key, 0)
                waiting = {found for found in pipeline.execute() if found is not None}
                if seen & waiting:
                    return True
                seen = waiting
            time.sleep(IS_BUSY_AFTER)
        return False

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Keep the worker's key in Redis, which rq does before and after each wait; health has its own heartbeats."""
        now = time.monotonic()
        if pipeline is None and timeout is None and now < self._next_rq_heartbeat:
            return
        self._next_rq_heartbeat = now + _RQ_HEARTBEAT_SECONDS
        super().heartbeat(timeout, pipeline)

    def _look_after(self) -> None:
        """From another thread: serve new regions, and close what is not used."""
        if not settings.WORKER_REGIONS and not REGION_QUEUES.isdisjoint(self.names):
            self._serve_new_regions()
        is_urgent = self.names[:1] == ["urgent"] and not self.is_spare
        if is_urgent:
            self._keep_sessions()
        else:
            registry.close_idle(_IDLE_SECONDS)

    def _keep_sessions(self) -> None:
        """Open those that have broken since, and those with servers that were not ready yet."""
        now = time.monotonic()
        if now >= self._next_sessions:
            self._next_sessions = now + _SESSIONS_EVERY
            open_sessions()
            connections.close_all()  # of the other thread

    def _serve_new_regions(self) -> None:
        """Listen to the queues of regions for which a job was enqueued since."""
        with suppress(RedisError, OSError):  # Redis is unreachable, which the health page shows
            self._regions |= regions_with_queues()
        number = len(self.names) + len(self._regions) * len(REGION_QUEUES.intersection(self.names))
        # The order is another after each job: the main thread may have replaced the list just now.
        if number > len(self._ordered_queues):
            queues = queues_of(self.names, sorted(self._regions))
            self.queues, self._ordered_queues = queues, list(queues)

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
