"""The schedule of recurring jobs. They have no arguments and are harmless when run twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.exceptions import RedisError
from rq.cron import CronJob, CronScheduler
from rq.serializers import JSONSerializer
from rq.utils import now

from vpn import doorbell
from vpn.jobs.certificates import RENEW_SECONDS, renew_certificates
from vpn.jobs.knock import KNOCK_SECONDS, knock_all
from vpn.jobs.names import NAMES_SECONDS, keep_names
from vpn.jobs.observe import observe_all
from vpn.jobs.reconcile import reconcile_all
from vpn.jobs.runtime.heartbeat import beat
from vpn.jobs.tidy import TIDY_SECONDS, tidy

_LOOKS_EVERY = 0.5  # seconds


class PortalScheduler(CronScheduler):
    """rq's scheduler, with JSON, the portal's job class, and heartbeats."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.serializer = JSONSerializer  # rq's default is pickle

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue the due jobs."""
        beat("schedule")
        due = [job for job in self.get_jobs() if job.should_run()]
        for job in due:
            doorbell.enqueue_tick(job.queue_name, job.func_name)
            job.set_enqueue_time(now())
        return due


@contextmanager
def ringing() -> Iterator[None]:
    """Enqueue the due jobs from a thread of this process."""
    scheduler, stop = build_scheduler(), threading.Event()

    def run() -> None:
        while not stop.wait(_LOOKS_EVERY):
            with suppress(RedisError, OSError):  # Redis is unreachable, which the health page shows
                scheduler.enqueue_jobs()

    thread = threading.Thread(target=run, name="schedule", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def build_scheduler() -> PortalScheduler:
    """Return the portal's scheduler."""
    scheduler = PortalScheduler(connection=doorbell.shared_redis())
    scheduler.register(observe_all, queue_name="ticks", interval=4)
    scheduler.register(reconcile_all, queue_name="ticks", interval=5)
    scheduler.register(knock_all, queue_name="ticks", interval=KNOCK_SECONDS)
    scheduler.register(renew_certificates, queue_name="ticks", interval=RENEW_SECONDS)
    # In a queue of its own, because DNS servers may be slow.
    scheduler.register(keep_names, queue_name="names", interval=NAMES_SECONDS)
    scheduler.register(tidy, queue_name="ticks", interval=TIDY_SECONDS)
    return scheduler
