"""Workers that run only while they have work: a job starts them, and they end when they are idle."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import django_rq
import pytest
from redis import Redis

from portal.running import family
from tests.lab.waiting import wait_until
from vpn import doorbell
from vpn.jobs.runtime.heartbeat import worker_health
from vpn.jobs.runtime.on_demand import Waiting, start_on_demand
from vpn.jobs.runtime.queues import IS_BUSY_AFTER, OF_PROCESS, SPARE
from vpn.jobs.runtime.worker import build_worker

pytestmark = [pytest.mark.flow, pytest.mark.django_db(transaction=True)]


def work_off(name: str) -> None:
    """Let a worker do what is queued."""
    build_worker([name]).work(burst=True, logging_level="CRITICAL")


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The processes on demand that are started, in a family where all can be."""
    started: list[str] = []
    monkeypatch.setattr(family, "is_on_demand", lambda name: name in {"spare", "plan", "mail"})
    monkeypatch.setattr(family, "ring", started.append)
    return started


def test_a_job_starts_its_process_and_one_that_waits_the_spare_one(redis: Redis, rung: list[str]) -> None:
    waiting = Waiting()
    assert waiting.look() > 1
    doorbell.enqueue_plans(uuid4(), uuid4())
    doorbell.enqueue_tick("names", "vpn.jobs.names.keep_names")
    assert waiting.look() < 1
    assert sorted(rung) == ["mail", "plan"]
    work_off("names")
    work_off("plan")
    rung.clear()
    doorbell.enqueue_apply(uuid4(), uuid4())
    waiting.look()
    assert not rung, "its own worker is about to take it"
    wait_until(lambda: bool(waiting.look() and rung), 60, "the spare worker")
    assert set(rung) == {"spare"}
    work_off("apply")
    rung.clear()
    assert waiting.look() > 1
    assert not rung


def test_a_bell_starts_a_process_at_once(redis: Redis, rung: list[str]) -> None:
    stop = threading.Event()
    start_on_demand(stop)
    try:
        wait_until(lambda: dict(redis.pubsub_numsub(doorbell.BELL)).get(doorbell.BELL.encode()) == 1, 60, "a listener")
        doorbell.enqueue_plans(uuid4(), uuid4())
        wait_until(lambda: "plan" in rung, 60, "the worker")
    finally:
        stop.set()


def test_processes_on_demand_are_healthy_until_a_job_waits_for_too_long(redis: Redis, rung: list[str]) -> None:
    waiting = Waiting()
    waiting.look()
    waiting.beat()
    assert not {"plan", "mail"}.intersection(worker_health().replace(",", "").replace(".", "").split())
    redis.flushall()
    doorbell.enqueue_plans(uuid4(), uuid4())
    with pytest.MonkeyPatch.context() as late:
        late.setattr("vpn.jobs.runtime.on_demand._STARTS_WITHIN", 0.0)
        waiting.look()
        waiting.beat()
    assert "plan" in worker_health()


def test_a_worker_on_demand_ends_when_it_is_idle(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpn.jobs.runtime.worker._PAUSE", 1)
    doorbell.enqueue_plans(uuid4(), uuid4())
    worker = build_worker(["plan"])
    worker.ends_when_idle = True
    worker.work(logging_level="CRITICAL")
    assert not django_rq.get_queue("plan").jobs


def test_a_worker_that_has_grown_ends_once_it_is_idle(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent forks a new one, which has the memory of its start."""
    monkeypatch.setattr("portal.growth.Growth.is_too_large", lambda _: True)
    monkeypatch.setattr("vpn.jobs.runtime.worker._PAUSE", 1)
    for _ in range(3):
        django_rq.get_queue("apply").enqueue_call("vpn.jobs.apply.apply_instance", args=(str(uuid4()),))
    build_worker(["apply"]).work(logging_level="CRITICAL")
    assert not django_rq.get_queue("apply").jobs


def test_the_spare_worker_leaves_jobs_to_workers_that_are_idle(redis: Redis) -> None:
    """They have a session with the server already."""
    spare = build_worker(OF_PROCESS[SPARE], is_spare=True)
    spare.ends_when_idle = True
    doorbell.enqueue_apply(uuid4(), uuid4(), urgent=True)
    began = time.monotonic()
    found = spare.dequeue_job_and_maintain_ttl(10)
    assert found is not None
    assert found[0].func_name == "vpn.jobs.apply.apply_urgently"
    assert time.monotonic() - began >= IS_BUSY_AFTER
