"""Workers of some regions: each takes the work of its own, and one of all regions also that of a new one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest
from pytest_django import Settings
from redis import Redis

from portal.models import Organization
from tests.factories import BY, make_instance, make_region
from tests.lab.waiting import wait_until
from tests.vpn.ssh_servers import make_server
from vpn import doorbell
from vpn.actions.servers.region import add_region
from vpn.jobs.reconcile import reconcile_all
from vpn.jobs.runtime.heartbeat import QUEUES, beat, worker_health
from vpn.jobs.runtime.worker import PortalWorker, build_worker
from vpn.jobs.servers import open_sessions
from vpn.models import Instance, Tick

pytestmark = [pytest.mark.flow, pytest.mark.django_db(transaction=True)]
_NAMES = ["urgent", "apply", "destroy", "provision", "knock", "observe"]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The jobs that were run, each with its subject."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr("vpn.jobs.runtime.worker.open_sessions", lambda: None)

    def note(name: str) -> Callable[[str], None]:
        return lambda subject: found.append((name, subject))

    for path in ("apply.apply_instance", "apply.apply_urgently", "provision.provision_instance"):
        monkeypatch.setattr(f"vpn.jobs.{path}", note(path))
    for path in (
        "provision.destroy_instance",
        "knock.knock_region",
        "runtime.looks.begin_observing",
        "runtime.looks.begin_check",
    ):
        monkeypatch.setattr(f"vpn.jobs.{path}", note(path))
    return found


def work(settings: Settings, *regions: str) -> None:
    """Let a worker of these regions do what waits."""
    settings.WORKER_REGIONS = regions
    build_worker(_NAMES).work(burst=True, logging_level="CRITICAL")


def ring_for_everything(instance: Instance) -> None:
    """Ring for all work that touches the instance's server, as callers do that know its region, and that do not."""
    ids = instance.pk, instance.organization_id
    doorbell.enqueue_apply(*ids)
    doorbell.enqueue_apply(*ids, instance.region_id, urgent=True)
    doorbell.enqueue_provision(*ids, instance.region_id)
    doorbell.enqueue_destroy(*ids)
    doorbell.enqueue_knock(instance.region_id)
    assert instance.server_id is not None
    doorbell.enqueue_observe(instance.server_id)
    doorbell.enqueue_check(instance.server_id, instance.region_id)


def test_each_of_two_workers_takes_the_work_of_its_region(
    redis: Redis, settings: Settings, organization: Organization, done: list[tuple[str, str]]
) -> None:
    near = make_instance(organization)
    far, region = make_instance(organization, name="Far"), add_region("fra", "Frankfurt", by=BY)
    Instance.objects.filter(pk=far.pk).update(region=region, server=make_server(region))
    far.refresh_from_db()
    redis.flushall()  # what the creation rang for
    for instance in (near, far):
        ring_for_everything(instance)
    work(settings, "fra")
    subjects = {str(far.pk), str(far.server_id), "fra"}
    assert {subject for _, subject in done} == subjects
    assert len(done) == 7
    done.clear()
    work(settings, "local")
    assert {subject for _, subject in done} == {str(near.pk), str(near.server_id), "local"}
    assert len(done) == 7
    done.clear()
    work(settings, "fra", "local")
    work(settings)
    assert not done, "nothing is left, and nothing was done twice"


def test_the_safety_net_rings_in_the_instances_region(
    redis: Redis, settings: Settings, organization: Organization, done: list[tuple[str, str]]
) -> None:
    lagging = make_instance(organization)
    Instance.objects.filter(pk=lagging.pk).update(desired_generation=7, lagging_since=None)
    redis.flushall()
    Tick.objects.all().delete()
    reconcile_all()
    work(settings, "fra")
    assert not done
    work(settings, "local")
    assert done == [("apply.apply_instance", str(lagging.pk))]


def test_a_worker_of_all_regions_takes_work_without_a_region(
    redis: Redis, settings: Settings, done: list[tuple[str, str]]
) -> None:
    doorbell.enqueue_destroy(uuid4(), uuid4())
    work(settings, "local")
    assert not done
    work(settings)
    assert len(done) == 1


def test_revocations_that_wait_are_seen_in_the_regions_of_a_worker(redis: Redis, settings: Settings) -> None:
    near, far, nowhere, other = (uuid4() for _ in range(4))
    for pk, region in ((near, "local"), (far, "fra"), (nowhere, "")):
        doorbell.enqueue_apply(pk, uuid4(), region, urgent=True)
    doorbell.enqueue_apply(other, uuid4(), "local")
    settings.WORKER_REGIONS = ()
    assert doorbell.waiting_revocations() == {near, far, nowhere}
    settings.WORKER_REGIONS = ("fra",)
    assert doorbell.waiting_revocations() == {far, nowhere}


def test_a_running_worker_of_all_regions_takes_the_work_of_a_new_one(redis: Redis, settings: Settings) -> None:
    make_region()
    settings.WORKER_REGIONS = ()
    worker = build_worker(["apply", "knock"])
    before = worker.queue_names()
    assert "apply:local" in before
    doorbell.enqueue_knock("fra")
    worker._look_after()
    assert set(worker.queue_names()) - set(before) == {"apply:fra", "knock:fra"}
    assert [queue.name for queue in worker._ordered_queues] == worker.queue_names()
    settings.WORKER_REGIONS = ("local",)
    limited = build_worker(["apply"])
    limited._look_after()
    assert limited.queue_names() == ["apply:local"]


def test_the_work_of_a_new_region_is_not_left_while_a_worker_waits(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens to other queues meanwhile, and takes the job without being started again."""
    seen = threading.Event()
    monkeypatch.setattr("vpn.jobs.knock.knock_region", lambda _: seen.set())
    monkeypatch.setattr("vpn.jobs.runtime.worker._NEW_REGIONS_AFTER", 1)
    monkeypatch.setattr("vpn.jobs.runtime.heartbeat._BEAT_SECONDS", 0.2)
    settings.WORKER_REGIONS = ()
    worker = build_worker(["knock"])

    def ring() -> None:
        wait_until(lambda: worker.get_state() == "idle", 60)
        doorbell.enqueue_knock("fra")

    thread = threading.Thread(target=ring)
    thread.start()
    worker.work(max_jobs=1, max_idle_time=60, logging_level="CRITICAL")
    thread.join()
    assert seen.is_set()


def test_health_names_the_regions_that_no_worker_serves(
    redis: Redis, settings: Settings, organization: Organization
) -> None:
    make_instance(organization)
    make_server(add_region("fra", "Frankfurt", by=BY))
    for name in QUEUES:
        beat(f"worker:{name}")
    assert worker_health() == "ok"
    redis.delete("portal:alive:worker:apply")
    assert worker_health() == "No worker has a current heartbeat for: apply."
    settings.WORKER_REGIONS = ("fra",)
    PortalWorker([doorbell.queue_of("apply", "fra")], connection=redis).work(burst=True, logging_level="CRITICAL")
    assert worker_health() == "No worker has a current heartbeat for: apply (of local)."
    beat("worker:apply:local")
    assert worker_health() == "ok"


def test_a_worker_opens_sessions_with_servers_of_its_regions_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, organization: Organization
) -> None:
    make_instance(organization)
    make_server(add_region("fra", "Frankfurt", by=BY))
    opened: list[str] = []
    monkeypatch.setattr("vpn.jobs.servers._open_session", lambda server: opened.append(server.name))
    settings.WORKER_REGIONS = ("fra",)
    open_sessions()
    wait_until(lambda: opened == ["fra1"], 60)
