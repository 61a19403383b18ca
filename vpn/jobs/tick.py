"""Scheduled jobs: a lease, so that two schedulers run each only once, and a note of when each last finished."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from vpn.models import Tick

# The schedule is not exact, so a tick may come slightly early.
_TOLERANCE = 0.6
_NOTED_EVERY: Final = timedelta(seconds=20)
# A scheduled job that has not finished for this many seconds is reported. Far longer than a busy machine delays one.
_LATE_AFTER: Final = {
    "observe": 300,
    "reconcile": 300,
    "knock": 300,
    "names": 300,
    "certificates": 600,
    "custody": 600,
    "journal": 600,
    "tidy": 3600,
    "use": 3600,
}


def scheduled(name: str, seconds: float) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorate a scheduled job: it runs unless it began less than `seconds` ago elsewhere, and notes its end."""

    def decorate(job: Callable[[], None]) -> Callable[[], None]:
        @functools.wraps(job)
        def run() -> None:
            if begin_tick(name, seconds):
                job()
                note_end(name)

        return run

    return decorate


def note_end(name: str) -> None:
    """Note that a scheduled job has finished, or had nothing to do; at most every few seconds."""
    # A write costs as much as most of these jobs. A clock that was set back must not keep a former time.
    is_old = Q(finished_at__lt=Now() - _NOTED_EVERY) | Q(finished_at__gt=Now())
    Tick.objects.filter(is_old, name=name).update(finished_at=Now())


def begin_tick(name: str, seconds: float) -> bool:
    """Return True if this job did not begin elsewhere less than `seconds` ago, by the database's clock."""
    before = Now() - timedelta(seconds=seconds * _TOLERANCE)
    if Tick.objects.filter(name=name, last_at__lt=before).update(last_at=Now()):
        return True
    _, created = Tick.objects.get_or_create(name=name, defaults={"last_at": Now()})
    return created


def schedule_lag() -> str:
    """Return "ok", or which scheduled jobs have not finished for too long; for the health page."""
    now = timezone.now()
    names = [
        name
        for name, finished_at in Tick.objects.order_by("name").values_list("name", "finished_at")
        if name in _LATE_AFTER and now - finished_at > timedelta(seconds=_LATE_AFTER[name])
    ]
    return f"Scheduled jobs that have not finished for too long: {', '.join(names)}." if names else "ok"
