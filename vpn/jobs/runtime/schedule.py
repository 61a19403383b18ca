"""What happens by the clock. Ticks carry ids of functions only and are harmless when run twice."""

from __future__ import annotations

from typing import Any

import django_rq
from rq.cron import CronJob, CronScheduler
from rq.serializers import JSONSerializer
from rq.utils import now

from vpn import doorbell
from vpn.jobs.knock import KNOCK_SECONDS, knock_all
from vpn.jobs.observe import observe_all
from vpn.jobs.reconcile import RENEW_SECONDS, reconcile_all, renew_certificates, tidy
from vpn.jobs.runtime.heartbeat import beat


class PortalScheduler(CronScheduler):
    """rq's scheduler, ringing through our doorbell (JSON, the portal's job class) and showing signs of life."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.serializer = JSONSerializer  # rq's own choice is pickle

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue what is due."""
        beat("schedule")
        due = [job for job in self.get_jobs() if job.should_run()]
        for job in due:
            doorbell.enqueue_tick(job.queue_name, job.func_name)
            job.set_enqueue_time(now())
        return due


def build_scheduler() -> PortalScheduler:
    """The schedule of the portal."""
    scheduler = PortalScheduler(connection=django_rq.get_connection("default"))
    scheduler.register(observe_all, queue_name="observe", interval=4)
    scheduler.register(reconcile_all, queue_name="observe", interval=5)
    # Not in the queue `observe`: a knock waits for hubs that do not answer.
    scheduler.register(knock_all, queue_name="provision", interval=KNOCK_SECONDS)
    scheduler.register(renew_certificates, queue_name="observe", interval=RENEW_SECONDS)
    scheduler.register(tidy, queue_name="observe", interval=600)
    return scheduler
