"""Who can write to Redis plants pickles at every kind of key that the portal reads: none of them is ever opened."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django_rq
import pytest
from django.conf import settings as portal_settings
from django.core.cache import caches
from django.test import Client
from pytest_django import Settings
from redis import Redis
from rq.cron import CronScheduler
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.worker import Worker

from portal.models import Membership
from portal.web.cache import TolerantRedisCache
from tests.factories import PASSWORD
from tests.lab.waiting import wait_until
from vpn.doorbell import PortalJob, PortalQueue
from vpn.jobs.runtime.heartbeat import schedule_health, worker_health
from vpn.jobs.runtime.schedule import recurring_jobs, run_if_due
from vpn.jobs.runtime.worker import PortalWorker

pytestmark = [pytest.mark.flow, pytest.mark.django_db(transaction=True)]
JOB = "planted"


class Trap:
    """Unpickled, it makes a directory."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.trace, 0o777, False, True)


@pytest.fixture
def redis(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A Redis of this test's own, which the portal takes for its own."""
    socket = tmp_path / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            connection = Redis(unix_socket_path=str(socket))
            ping = ["redis-cli", "-s", str(socket), "ping"]
            wait_until(lambda: subprocess.run(ping, capture_output=True).stdout == b"PONG\n", 30, "Redis")
            for name in settings.RQ_QUEUES:
                settings.RQ_QUEUES[name]["URL"] = f"unix://{socket}"
            # Patient, so that a busy machine is not taken for a Redis that is away.
            options = {"socket_timeout": 60, "socket_connect_timeout": 60}
            cache = {
                "BACKEND": "portal.web.cache.TolerantRedisCache",
                "LOCATION": f"unix://{socket}",
                "OPTIONS": options,
            }
            settings.CACHES = {"default": cache}
            monkeypatch.setattr(TolerantRedisCache, "_away_until", 0.0)
            yield connection
        finally:
            server.terminate()


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The directory that a pickle makes where it is opened."""
    return tmp_path / "opened"


def plant_job(redis: Redis, trap: bytes, status: str = "queued") -> None:
    """A job every field of which is the pickle, in the queue and in each registry."""
    redis.hset(
        f"rq:job:{JOB}",
        mapping={
            "created_at": "2026-01-01T00:00:00.000000Z",
            "origin": "apply",
            "status": status,
            "timeout": "30",
            "data": zlib.compress(trap),
            "meta": trap,
            "result": trap,
            "description": "planted",
        },
    )
    redis.xadd(f"rq:results:{JOB}", {"type": "1", "created_at": "1", "return_value": b64encode(trap)})
    redis.rpush("rq:queue:apply", JOB)
    redis.sadd("rq:queues", "rq:queue:apply")
    for registry in (FinishedJobRegistry, FailedJobRegistry, StartedJobRegistry):
        redis.zadd(registry("apply", connection=redis).key, {JOB: 1})


def test_this_pickle_is_opened_by_who_reads_it_as_rq_does_by_default(redis: Redis, trace: Path) -> None:
    """Otherwise the tests below would show nothing."""
    plant_job(redis, pickle.dumps(Trap(trace)))
    with contextlib.suppress(Exception):
        Job.fetch(JOB, connection=redis)._deserialize_data()  # type: ignore[no-untyped-call]
    assert trace.exists()


def test_a_planted_job_is_opened_neither_by_a_worker_nor_by_any_reader(redis: Redis, trace: Path) -> None:
    plant_job(redis, pickle.dumps(Trap(trace)))
    queue = django_rq.get_queue("apply")
    assert isinstance(queue, PortalQueue)
    for read in (
        lambda: PortalJob.fetch(JOB, connection=redis).args,
        lambda: PortalJob.fetch(JOB, connection=redis).meta,
        lambda: PortalJob.fetch(JOB, connection=redis).get_meta(),
        lambda: PortalJob.fetch(JOB, connection=redis).return_value(refresh=True),
        lambda: PortalJob.fetch(JOB, connection=redis).latest_result(),
        lambda: PortalJob.fetch(JOB, connection=redis).results(),
        lambda: [str(job) + repr(job.args) for job in queue.jobs],
        lambda: queue.failed_job_registry.requeue(JOB),
        queue.started_job_registry.cleanup,
        queue.finished_job_registry.cleanup,
    ):
        with contextlib.suppress(Exception):
            read()
        assert not trace.exists()
    plant_job(redis, pickle.dumps(Trap(trace)))
    worker = PortalWorker(
        [queue], job_class=PortalJob, queue_class=PortalQueue, serializer="rq.serializers.JSONSerializer"
    )
    worker.clean_registries()  # type: ignore[no-untyped-call]
    worker.work(burst=True, logging_level="CRITICAL")
    assert not trace.exists()
    assert not queue.jobs, "the queue goes on behind it"
    with contextlib.suppress(NoSuchJobError):
        assert PortalJob.fetch(JOB, connection=redis).get_status() != "finished"


def test_planted_workers_and_schedules_are_not_opened(redis: Redis, trace: Path) -> None:
    trap = pickle.dumps(Trap(trace))
    fields = ("birth", "current_job", "hostname", "state", "queues", "config_file", "cron_jobs", "version", "name")
    for key, index in (("rq:worker:planted", "rq:workers"), ("rq:cron_scheduler:planted", "rq:cron_schedulers")):
        redis.hset(key, mapping=dict.fromkeys(fields, trap))
        redis.sadd(index, key) if index == "rq:workers" else redis.zadd(index, {"planted": 9e12})
    redis.set("portal:alive:worker:apply", trap)
    redis.set("portal:alive:schedule", trap)
    for read in (
        lambda: Worker.all(connection=redis),
        lambda: CronScheduler.all(connection=redis),
        lambda: [run_if_due(job) for job in recurring_jobs() if job.name == "names"],
        worker_health,
        schedule_health,
    ):
        with contextlib.suppress(Exception):
            read()
    assert not trace.exists()


def test_a_planted_cache_entry_is_a_miss(redis: Redis, trace: Path) -> None:
    trap, cache = pickle.dumps(Trap(trace)), caches["default"]
    redis.set(cache.make_key("planted"), trap)
    assert cache.get("planted", "nothing") == "nothing"
    with contextlib.suppress(Exception):
        cache.incr("planted")
    for read in (lambda: cache.get_many(["planted"]), lambda: cache.get_or_set("planted", 1)):
        with contextlib.suppress(Exception):
            read()
    assert not trace.exists()


def test_what_the_cache_keeps_comes_back_as_it_was(redis: Redis) -> None:
    cache = caches["default"]
    for value in (1, True, "words", [1.5, 2.5], {"a": None}, None):
        cache.set("kept", value)
        assert cache.get("kept", "nothing") == value
        assert type(cache.get("kept", "nothing")) is type(value)
    assert cache.add("count", 0)
    assert cache.incr("count") == 1
    with pytest.raises(TypeError):
        cache.set("kept", {1, 2})


def test_signing_in_and_the_api_go_on_over_planted_entries(
    redis: Redis, trace: Path, client: Client, admin: Membership
) -> None:
    """Every key that a sign-in and an API call leave in Redis is replaced by a pickle, and read again."""
    trap = pickle.dumps(Trap(trace))

    def visit() -> None:
        client.post("/accounts/login/", {"login": admin.user.email, "password": "wrong"})
        client.get("/api/v1/vpn/instances", headers={"Authorization": "Bearer wrong"})

    visit()
    keys = [key for key in redis.keys("*") if b"rl" in key or b"api" in key]
    assert len(keys) >= 2, keys
    for key in keys:
        redis.set(key, trap)
    visit()
    assert not trace.exists()
    assert client.post("/accounts/login/", {"login": admin.user.email, "password": PASSWORD}).status_code == 302


def test_sessions_and_jobs_are_configured_without_pickle() -> None:
    assert portal_settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"
    assert {queue["SERIALIZER"] for queue in portal_settings.RQ_QUEUES.values()} == {"rq.serializers.JSONSerializer"}
