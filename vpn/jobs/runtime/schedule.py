"""The schedule: one process that runs short recurring jobs itself, and rings for those of other processes.

These jobs have no arguments and are harmless when run twice.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from portal.growth import Growth
from vpn import doorbell
from vpn.jobs.certificates import RENEW_SECONDS, renew_certificates
from vpn.jobs.custody import CUSTODY_SECONDS, destroy_keys
from vpn.jobs.journal import SEAL_SECONDS, seal_journals
from vpn.jobs.knock import KNOCK_SECONDS, knock_all
from vpn.jobs.names import NAMES_SECONDS, is_name_due
from vpn.jobs.observe import OBSERVE_SECONDS, observe_all
from vpn.jobs.reconcile import RECONCILE_SECONDS, reconcile_all
from vpn.jobs.runtime.connections import end_connections
from vpn.jobs.runtime.heartbeat import beat_while_running
from vpn.jobs.runtime.time_limit import TimeLimit
from vpn.jobs.tick import note_end
from vpn.jobs.tidy import TIDY_SECONDS, tidy
from vpn.jobs.unused import USE_SECONDS, note_use

_NOTED_EVERY: Final = 60.0  # seconds
# Comparing a hub of thousands of peers, every few minutes, makes it grow again.
_AGE: Final = 600.0  # seconds
_ENDING: Final = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger(__name__)


@dataclass
class Recurring:
    """A job with its interval in seconds, and when it is due next (time.monotonic)."""

    name: str
    seconds: float
    run: Callable[[], None]
    due_at: float = 0.0


@dataclass
class Ring:
    """Rings for a recurring job of a worker if it has something to do. Its queue has the job's name."""

    name: str
    function: str
    has_work: Callable[[], bool]
    _noted_at: float = -_NOTED_EVERY

    def __call__(self) -> None:
        """Ring, or note from time to time that there was nothing to do."""
        if self.has_work():
            doorbell.enqueue_tick(self.name, self.function)
        elif time.monotonic() - self._noted_at >= _NOTED_EVERY:
            note_end(self.name)
            self._noted_at = time.monotonic()


def recurring_jobs() -> list[Recurring]:
    """Return the portal's recurring jobs, all of them due."""
    # A worker runs it, because DNS servers may be slow.
    keep_names = Ring("names", "vpn.jobs.names.keep_names", is_name_due)
    return [
        Recurring("observe", OBSERVE_SECONDS, observe_all),
        Recurring("reconcile", RECONCILE_SECONDS, reconcile_all),
        Recurring("knock", KNOCK_SECONDS, knock_all),
        Recurring("certificates", RENEW_SECONDS, renew_certificates),
        Recurring("custody", CUSTODY_SECONDS, destroy_keys),
        Recurring("names", NAMES_SECONDS, keep_names),
        Recurring("journal", SEAL_SECONDS, seal_journals),
        Recurring("use", USE_SECONDS, note_use),
        Recurring("tidy", TIDY_SECONDS, tidy),
    ]


def run_schedule() -> None:
    """Run the recurring jobs with heartbeats, until a signal or until one runs out of time."""
    # A blocked signal waits until it is asked for, so none interrupts a job.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    stop = threading.Event()
    thread = beat_while_running(["schedule"], stop)
    try:
        _run_until_told(recurring_jobs())
    finally:
        stop.set()
        thread.join(timeout=5)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_until_told(jobs: Sequence[Recurring]) -> None:
    growth = Growth(_AGE)
    while not growth.is_too_large():
        if not all(map(run_if_due, jobs)):
            # The exception may have interrupted any line of any library, so this process cannot be trusted any more.
            return
        left = min(job.due_at for job in jobs) - time.monotonic()
        if signal.sigtimedwait(_ENDING, max(left, 0.0)) is not None:
            return


def run_if_due(job: Recurring) -> bool:
    """Run a job if it is due, and log its failure; return False if it ran out of time."""
    if time.monotonic() < job.due_at:
        return True
    job.due_at = time.monotonic() + job.seconds
    TimeLimit.exceeded = is_interrupted = False
    try:
        with TimeLimit(settings.JOB_TIMEOUT):
            job.run()
    except Exception:
        is_interrupted = True
        logger.exception("The scheduled job %s failed", job.name)
    end_connections(interrupted=is_interrupted or TimeLimit.exceeded)
    if TimeLimit.exceeded:
        logger.error("The scheduled job %s ran out of time; this process ends, and a new one takes its place", job.name)
    return not TimeLimit.exceeded
