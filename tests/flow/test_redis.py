"""Redis is a doorbell: it names no code, carries no secret, and one ring stands for many changes."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import django_rq
import pytest
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.serializers import JSONSerializer

from portal.actions.link_mail import mail_link
from portal.actions.reset_mail import request_reset_mail
from portal.models import Membership, Organization, QueuedMail
from tests.factories import BY, make_instance
from vpn import doorbell
from vpn.choices import InstanceState
from vpn.doorbell import PortalJob, PortalQueue
from vpn.jobs.reconcile import reconcile_all
from vpn.jobs.runtime.heartbeat import QUEUES, beat, schedule_health, worker_health
from vpn.jobs.runtime.schedule import Ring
from vpn.jobs.runtime.worker import PortalWorker, build_worker
from vpn.models import Instance, Tick

pytestmark = [pytest.mark.flow, pytest.mark.django_db(transaction=True)]


def work_off(name: str) -> None:
    """Let a worker do what is queued."""
    worker = PortalWorker(
        [django_rq.get_queue(name)], job_class=PortalJob, queue_class=PortalQueue, serializer=JSONSerializer
    )
    worker.work(burst=True, logging_level="CRITICAL")


def test_a_job_that_is_not_the_portals_is_not_run(redis: Redis, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    job = django_rq.get_queue("apply").enqueue("os.mkdir", str(trace))
    work_off("apply")
    assert not trace.exists()
    assert job.get_status(refresh=True) == "failed"


@pytest.mark.parametrize("function", ["vpn.jobs.names.keep_names", "vpn.jobs.apply.no_such_job"])
def test_what_redis_names_as_callback_is_not_even_imported(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "planted_callback.py").write_text(f"open({str(trace)!r}, 'w')\ndef run(*arguments): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    job = django_rq.get_queue("apply").enqueue(function)
    names = ("success_callback_name", "failure_callback_name", "stopped_callback_name")
    redis.hset(job.key, mapping=dict.fromkeys(names, "planted_callback.run"))
    work_off("apply")
    assert not trace.exists()
    assert not django_rq.get_queue("apply").jobs


def test_a_pickled_job_is_not_opened(redis: Redis, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickled = Queue("apply", connection=redis).enqueue("os.mkdir", str(trace))
    work_off("apply")
    assert not trace.exists()
    with contextlib.suppress(NoSuchJobError):  # thrown away is as good
        assert pickled.get_status(refresh=True) != "finished"


def test_a_worker_whose_job_ran_out_of_time_ends(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor starts a new one; what is left in the queue is the new one's."""

    def endless() -> None:
        with transaction.atomic():
            while True:
                connection.ensure_connection()

    monkeypatch.setattr("vpn.jobs.names.keep_names", endless)
    waiting = django_rq.get_queue("apply")
    overdue = waiting.enqueue_call("vpn.jobs.names.keep_names", timeout=1)
    waiting.enqueue_call("vpn.jobs.apply.apply_instance", args=(str(uuid4()),))
    work_off("apply")
    assert overdue.get_status(refresh=True) == "failed"
    assert [job.func_name for job in waiting.jobs] == ["vpn.jobs.apply.apply_instance"]
    assert not connection.in_atomic_block
    Tick.objects.create(name="a write", last_at=timezone.now())


def test_a_worker_waits_for_jobs_on_connections_that_wait_as_long(redis: Redis) -> None:
    doorbell.shared_redis().ping()
    worker = build_worker(["apply"])
    pool = worker.connection.connection_pool
    for waiting in (pool.get_connection(), pool.get_connection()):
        assert (waiting.socket_timeout or 0) > worker.dequeue_timeout


def test_rings_hold_ids_only_and_many_changes_ring_once(redis: Redis) -> None:
    instance, organization = uuid4(), uuid4()
    for _ in range(50):
        doorbell.enqueue_apply(instance, organization)
    waiting = django_rq.get_queue("apply")
    assert [(job.func_name, job.args) for job in waiting.jobs] == [("vpn.jobs.apply.apply_instance", [str(instance)])]
    assert len(redis.keys("rq:job:*")) == 1, "a ring that is merged leaves nothing behind"
    PortalQueue.dequeue_any([waiting], None, connection=redis, serializer=JSONSerializer)
    for _ in range(50):
        doorbell.enqueue_apply(instance, organization)
    assert len(waiting.jobs) == 1, "a change after a worker came to look rings again, and once"


@pytest.mark.usefixtures("redis")
def test_the_safety_net_adds_no_second_job_for_what_waits(organization: Organization) -> None:
    Organization.objects.update(most_provisioning=100)
    waiting = [make_instance(organization, state=InstanceState.PENDING) for _ in range(20)]
    Instance.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    for _ in range(3):
        Tick.objects.all().delete()
        reconcile_all()
    jobs = doorbell.queue_of("provision", waiting[0].region_id).jobs
    assert sorted(job.args[0] for job in jobs) == sorted(str(instance.pk) for instance in waiting)


def test_a_ring_is_not_merged_with_a_job_that_is_gone(redis: Redis) -> None:
    instance, organization = uuid4(), uuid4()
    doorbell.enqueue_apply(instance, organization)
    redis.delete(*redis.keys("rq:job:*"))
    doorbell.enqueue_apply(instance, organization)
    assert len(redis.keys("rq:job:*")) == 1
    assert _taken_in_order("apply", redis) == [str(instance)]


def _taken_in_order(name: str, redis: Redis) -> list[str]:
    """What a worker takes from a queue, one after the other: the ids of the instances."""
    taken = []
    while found := PortalQueue.dequeue_any(
        [django_rq.get_queue(name)], None, connection=redis, job_class=PortalJob, serializer=JSONSerializer
    ):
        taken.append(str(found[0].args[0]))
    return taken


@pytest.mark.parametrize(
    ("name", "ring"),
    [
        ("apply", doorbell.enqueue_apply),
        ("urgent", partial(doorbell.enqueue_apply, urgent=True)),
        ("destroy", doorbell.enqueue_destroy),
        ("provision", doorbell.enqueue_provision),
        ("mail", doorbell.enqueue_plan_mail),
        ("mail", doorbell.enqueue_queued_mail),
    ],
)
def test_organizations_take_turns_in_every_queue(redis: Redis, name: str, ring: Callable[[UUID, UUID], None]) -> None:
    loud, quiet, third = uuid4(), uuid4(), uuid4()
    of_loud = [uuid4() for _ in range(500)]
    for instance in of_loud:
        ring(instance, loud)
    of_quiet = [uuid4() for _ in range(3)]
    for instance in of_quiet:
        ring(instance, quiet)
    of_third = uuid4()
    ring(of_third, third)
    expected = [of_loud[0], of_quiet[0], of_third, of_loud[1], of_quiet[1], of_loud[2], of_quiet[2], *of_loud[3:]]
    assert _taken_in_order(name, redis) == list(map(str, expected))


def test_whoever_rings_again_and_again_keeps_nobody_waiting(redis: Redis) -> None:
    loud, quiet = uuid4(), uuid4()
    for _ in range(20):
        doorbell.enqueue_apply(uuid4(), loud)
    head = redis.lindex("rq:queue:apply", 0)
    for _ in range(20):
        doorbell.enqueue_apply(uuid4(), quiet)
    assert redis.lindex("rq:queue:apply", 0) == head, "who waits longest is first"


def test_a_worker_takes_no_commands_over_redis(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    channels: list[list[bytes | str]] = []
    monkeypatch.setattr("vpn.jobs.names.keep_names", lambda: channels.append(redis.pubsub_channels()))
    django_rq.get_queue("apply").enqueue_call("vpn.jobs.names.keep_names")
    work_off("apply")
    assert channels == [[]]


def test_rings_and_heartbeats_use_one_connection(redis: Redis) -> None:
    def connections() -> int:
        return int(redis.info("stats")["total_connections_received"])

    doorbell.enqueue_apply(uuid4(), uuid4())
    before = connections()
    for _ in range(20):
        doorbell.enqueue_apply(uuid4(), uuid4())
        beat("schedule")
    assert connections() == before


def test_a_scheduled_job_that_waits_is_rung_for_once_and_does_not_expire(redis: Redis) -> None:
    for _ in range(3):
        Ring("names", "vpn.jobs.names.keep_names", lambda: True)()
    queue = django_rq.get_queue("names")
    assert [job.func_name for job in queue.jobs] == ["vpn.jobs.names.keep_names"]
    assert redis.ttl(queue.jobs[0].key) == -1
    work_off("names")
    assert not queue.jobs
    assert queue.failed_job_registry.count == 0


def test_deletions_and_knocks_do_not_wait_for_all_new_hubs(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("vpn.jobs.provision.provision_instance", lambda _: done.append("provision"))
    monkeypatch.setattr("vpn.jobs.provision.destroy_instance", lambda _: done.append("destroy"))
    monkeypatch.setattr("vpn.jobs.knock.knock_region", lambda _: done.append("knock"))
    organization = uuid4()
    for _ in range(5):
        doorbell.enqueue_provision(uuid4(), organization)
    for _ in range(2):
        doorbell.enqueue_destroy(uuid4(), organization)
    build_worker(["knock", "destroy", "provision"]).work(burst=True, logging_level="CRITICAL")
    assert done == ["destroy", "provision", "destroy", *["provision"] * 4]
    done.clear()
    for _ in range(5):
        doorbell.enqueue_provision(uuid4(), organization)
    for region in ("fra", "fra"):
        doorbell.enqueue_knock(region)
    build_worker(["provision", "destroy", "knock"]).work(burst=True, logging_level="CRITICAL")
    assert done == ["provision", "knock", *["provision"] * 4]


def test_health_knows_who_is_silent(redis: Redis) -> None:
    assert "urgent" in worker_health()
    assert schedule_health() != "ok"
    for name in (*(f"worker:{queue_name}" for queue_name in QUEUES), "schedule"):
        beat(name)
    assert worker_health() == schedule_health() == "ok"
    redis.delete("portal:alive:worker:provision")
    assert worker_health() == "No worker has a current heartbeat for: provision."


def test_a_spare_worker_does_not_stand_for_a_missing_one(redis: Redis) -> None:
    queues = [django_rq.get_queue(name) for name in ("apply", "provision")]
    for is_spare in (True, False):
        worker = PortalWorker(queues, job_class=PortalJob, queue_class=PortalQueue, serializer=JSONSerializer)
        worker.is_spare = is_spare
        worker.work(burst=True, logging_level="CRITICAL")
        assert ("provision" in worker_health()) == is_spare


def test_mail_has_a_queue_and_a_worker_of_its_own(
    redis: Redis, settings: Settings, mailoutbox: list[EmailMessage], stranger: Membership
) -> None:
    """What provisions or applies does not wait behind a mail server; the ring names an id."""
    settings.EMAIL_CONFIGURED = True
    mail_link(stranger, by=BY)
    request_reset_mail("never@example.org", by=BY)
    [by_organization, by_nobody] = QueuedMail.objects.all()
    jobs = django_rq.get_queue("mail").jobs
    assert [(job.func_name, job.args) for job in jobs] == [
        ("vpn.jobs.mail.send_one", [str(by_organization.pk)]),
        ("vpn.jobs.mail.send_one", [str(by_nobody.pk)]),
    ]
    doorbell.enqueue_plan_mail(by_nobody.pk, stranger.organization_id)
    assert {job.func_name for job in django_rq.get_queue("mail").jobs} == {
        "vpn.jobs.mail.send_one",
        "vpn.jobs.mail.mail_plan",
    }
    work_off("mail")
    assert [message.to for message in mailoutbox] == [[stranger.user.email], ["never@example.org"]]
    assert not QueuedMail.objects.exists()
    assert django_rq.get_queue("mail").failed_job_registry.count == 0


@pytest.mark.usefixtures("redis")
def test_a_workers_later_collections_leave_out_what_was_loaded() -> None:
    try:
        call_command("worker", "plan", burst=True)
        assert gc.get_freeze_count() > 100_000
    finally:
        gc.unfreeze()
