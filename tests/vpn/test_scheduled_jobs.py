"""A scheduled job has a lease, and the health page reports one that has not finished for too long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from vpn.jobs.names import keep_names
from vpn.jobs.reconcile import reconcile_all
from vpn.jobs.runtime.schedule import recurring_jobs
from vpn.jobs.tick import schedule_lag, scheduled
from vpn.jobs.tidy import tidy
from vpn.models import Tick

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def earlier(name: str, **ago: float) -> None:
    """As if the job had begun and finished that long ago."""
    then = timezone.now() - timedelta(**ago)
    Tick.objects.filter(name=name).update(last_at=then, finished_at=then)


def test_a_job_that_began_elsewhere_does_not_run_again() -> None:
    runs = []
    job = scheduled("a test", 60)(lambda: runs.append(1))
    job()
    job()
    assert len(runs) == 1
    earlier("a test", seconds=61)
    job()
    assert len(runs) == 2


def test_a_job_that_finishes_is_not_late() -> None:
    assert schedule_lag() == "ok"
    tidy()
    earlier("tidy", days=1)
    assert schedule_lag() == "Scheduled jobs that have not finished for too long: tidy."
    tidy()
    assert schedule_lag() == "ok"


def test_the_end_of_every_scheduled_job_is_watched() -> None:
    for job in recurring_jobs():
        job.run()
    keep_names()  # The schedule only rings for it.
    long_ago = timezone.now() - timedelta(days=1)
    assert Tick.objects.update(finished_at=long_ago) >= 6
    late = schedule_lag()
    # A part of `certificates` has a tick of its own.
    assert all(name in late for name in Tick.objects.exclude(name="certificate hosts").values_list("name", flat=True))


def test_a_job_that_begins_and_never_finishes_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    reconcile_all()
    earlier("reconcile", minutes=10)

    def break_off(*_: object) -> None:
        raise RuntimeError("a broken job")

    with monkeypatch.context() as broken:
        broken.setattr("vpn.jobs.waiting.Waiting.ask", break_off)
        with pytest.raises(RuntimeError):
            reconcile_all()
    assert Tick.objects.get(name="reconcile").last_at > timezone.now() - timedelta(minutes=5)
    assert "reconcile" in schedule_lag()


def test_the_health_page_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis.Redis.ping", lambda self: True)
    assert client.get("/healthz").json()["ticks"] == "ok"
    tidy()
    earlier("tidy", days=1)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "tidy" in answer.json()["ticks"]
