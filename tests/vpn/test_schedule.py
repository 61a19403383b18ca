"""The process that runs the recurring jobs: a job that fails or hangs stops no other, and a signal interrupts none."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.utils import timezone

from portal.growth import Growth
from vpn.jobs.runtime import schedule
from vpn.jobs.runtime.schedule import Recurring, Ring, run_if_due, run_schedule
from vpn.jobs.tick import schedule_lag
from vpn.models import Tick

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def fail() -> None:
    raise RuntimeError("a broken job")


def test_a_scheduled_job_that_fails_stops_no_other_and_is_due_again(caplog: pytest.LogCaptureFixture) -> None:
    job = Recurring("broken", 60, fail)
    assert run_if_due(job)
    assert "The scheduled job broken failed" in caplog.text
    caplog.clear()
    assert run_if_due(job), "it is not due yet"
    assert not caplog.text
    job.due_at = 0.0
    assert run_if_due(job)
    assert "broken" in caplog.text


def test_a_scheduled_job_that_runs_out_of_time_leaves_no_transaction(settings: LazySettings) -> None:
    settings.JOB_TIMEOUT = 1

    def endless() -> None:
        with transaction.atomic():
            while True:
                connection.ensure_connection()

    assert not run_if_due(Recurring("endless", 60, endless))
    assert not connection.in_atomic_block
    Tick.objects.create(name="a write", last_at=timezone.now())


def test_a_signal_ends_the_schedule_after_the_job_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def run() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        done.append("all of it")

    monkeypatch.setattr(schedule, "recurring_jobs", lambda: [Recurring("long", 60, run)])
    run_schedule()
    assert done == ["all of it"]


def test_a_schedule_that_has_grown_ends_between_two_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(Growth, "is_too_large", lambda _: len(done) == 3)
    monkeypatch.setattr(schedule, "recurring_jobs", lambda: [Recurring("often", 0.0, lambda: done.append(1))])
    run_schedule()
    assert len(done) == 3


def test_a_worker_is_rung_for_when_it_has_something_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr("vpn.doorbell.enqueue_tick", lambda queue, _: rung.append(queue))
    work: list[str] = []
    ring = Ring("names", "vpn.jobs.names.keep_names", lambda: bool(work))
    long_ago = timezone.now() - timedelta(days=1)
    Tick.objects.create(name="names", last_at=long_ago, finished_at=long_ago)
    ring()
    assert not rung
    assert schedule_lag() == "ok", "there was nothing to do"
    Tick.objects.update(finished_at=long_ago)
    work.append("a name is due")
    for _ in range(3):
        ring()
    assert rung == ["names"] * 3
    assert schedule_lag() != "ok", "the worker does not do it"
