"""Enqueues jobs in Redis: with ids only, as JSON, and only functions of `vpn.jobs`.

Redis is not trusted to name code, and holds no state that matters: an enqueueing that fails is logged, and reconcile
repeats it. Organizations take turns in every queue, and one job is enough for many changes: see `turns`.

Work that touches servers has a queue per region, so that workers can serve some regions alone (WORKER_REGIONS).
"""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any, Final
from uuid import UUID

import django_rq
from django.conf import settings
from django_rq.queues import DjangoRQ
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from vpn.models import Instance, Move, Server
from vpn.turns import job_id, subject_of, take_place

logger = logging.getLogger(__name__)

ALLOWED_JOBS = frozenset(
    {
        "vpn.jobs.apply.apply_instance",
        "vpn.jobs.apply.apply_urgently",
        "vpn.jobs.compromise.go_on_renewing",
        "vpn.jobs.clouds.remove_stray",
        "vpn.jobs.clouds.sweep_cloud",
        "vpn.jobs.clouds.test_cloud",
        "vpn.jobs.preparation.look_at_host_key",
        "vpn.jobs.preparation.prepare_server",
        "vpn.jobs.provision.provision_instance",
        "vpn.jobs.provision.destroy_instance",
        "vpn.jobs.knock.knock_region",
        "vpn.jobs.runtime.looks.begin_check",
        "vpn.jobs.runtime.looks.begin_observing",
        "vpn.jobs.move.go_on_moving",
        "vpn.jobs.names.keep_names",
        "vpn.jobs.mail.mail_loss",
        "vpn.jobs.nodes.look_at_node",
        "vpn.jobs.mail.mail_plan",
        "vpn.jobs.mail.send_one",
        "vpn.jobs.plan.answer_asked_plan",
        "vpn.jobs.plan.find_outdated_profiles",
        "vpn.jobs.plan.work_out_plans",
        "vpn.jobs.retirement.look_at_retired",
    }
)
# The channel that tells of each enqueued job.
BELL: Final = "portal:bell"
# Queues that exist for each region. A job whose region is not known is in the queue without a region.
REGION_QUEUES = frozenset({"urgent", "apply", "destroy", "provision", "knock", "observe"})
_REGION_QUEUE = re.compile(r":([a-z]+):([A-Za-z0-9_-]{1,20})$")
# Finished jobs are removed at once; failed ones after an hour, so that staff can inspect them.
_RESULT_TTL = 0
_FAILURE_TTL = 3600
# By then the user has left the page.
_ASKED_TTL = 600
# The schedule enqueues it again soon, so a job that waited too long is dropped.
_OBSERVE_TTL = 10


def shared_redis() -> Redis:
    """The queues' Redis, over connections that stay open. All threads of this process use them."""
    return _connected(settings.RQ_QUEUES["default"]["URL"])


@cache
def _connected(url: str) -> Redis:
    # django_rq opens another connection each time: three round trips, and a millisecond of processor time.
    return django_rq.get_connection("default")


class ForbiddenJob(Exception):
    """Redis named a function that is not one of the portal's jobs."""


class PortalJob(Job):
    """A job that runs only the portal's own job functions, and is always read as JSON."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002
        # rq falls back to pickle if one of its own calls names no serializer.
        super().__init__(id=id, connection=connection, serializer=JSONSerializer)

    @property
    def func(self) -> Any:
        """The job's function, if it is one of ALLOWED_JOBS."""
        if self.func_name not in ALLOWED_JOBS:
            raise ForbiddenJob(f"{self.func_name!r} is not a job of this portal")
        return super().func

    @property
    def success_callback(self) -> None:
        """None: no portal job has a callback, and one named in Redis would be imported and called."""

    @property
    def failure_callback(self) -> None:
        """None, as above."""

    @property
    def stopped_callback(self) -> None:
        """None, as above."""


class PortalQueue(DjangoRQ):
    """A queue in which organizations take turns; its registries take its serializer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # rq ships no types here
        self.serializer = JSONSerializer

    def original_enqueue_call(self, *args: Any, **kwargs: Any) -> Job:
        """Save and insert a job. django_rq looks for a lifetime of results under the name, which regions lack."""
        return Queue.enqueue_call(self, *args, **kwargs)

    def push_job_id(self, job_id: str, pipeline: Pipeline | None = None, at_front: bool = False) -> None:
        """Insert a saved job in the queue by turns; no portal job goes to the front."""
        take_place(pipeline if pipeline is not None else self.connection, self.key, job_id)


def enqueue_apply(
    instance_id: UUID, organization_id: UUID, region_id: str | None = None, *, urgent: bool = False
) -> None:
    """Update the instance's hub; `urgent` if the change revokes access. Without `region_id`, it is looked up."""
    queue_name, function = ("urgent", "apply_urgently") if urgent else ("apply", "apply_instance")
    _enqueue_for(queue_name, f"vpn.jobs.apply.{function}", instance_id, organization_id, region_id)


def enqueue_provision(instance_id: UUID, organization_id: UUID, region_id: str | None = None) -> None:
    """Create the instance's hub, or continue to create it."""
    _enqueue_for("provision", "vpn.jobs.provision.provision_instance", instance_id, organization_id, region_id)


def enqueue_move(instance_id: UUID, organization_id: UUID) -> None:
    """Move or rebuild the instance's hub, or continue to, by a worker of the region where it is to run."""
    target = Move.objects.filter(instance=instance_id).values_list("target__region", flat=True).first()
    _enqueue_for("provision", "vpn.jobs.move.go_on_moving", instance_id, organization_id, target)


def enqueue_retired(retired_id: UUID, region_id: str) -> None:
    """Look at a hub that its instance has left on a server of a region."""
    _enqueue("destroy", "vpn.jobs.retirement.look_at_retired", str(retired_id), region_id=region_id)


def enqueue_destroy(instance_id: UUID, organization_id: UUID, region_id: str | None = None) -> None:
    """Delete the instance's hub."""
    _enqueue_for("destroy", "vpn.jobs.provision.destroy_instance", instance_id, organization_id, region_id)


def enqueue_plans(instance_id: UUID, organization_id: UUID) -> None:
    """Compute the plans of the instance's last changes."""
    _enqueue("plan", "vpn.jobs.plan.work_out_plans", str(instance_id), organization_id=organization_id)


def enqueue_asked_plan(asked_id: UUID, organization_id: UUID) -> None:
    """Compute a preview."""
    function = "vpn.jobs.plan.answer_asked_plan"
    _enqueue("plan", function, str(asked_id), organization_id=organization_id, ttl=_ASKED_TTL)


def enqueue_outdated(instance_id: UUID, organization_id: UUID) -> None:
    """Find out which delivered profiles of the instance are outdated."""
    _enqueue("plan", "vpn.jobs.plan.find_outdated_profiles", str(instance_id), organization_id=organization_id)


def enqueue_observe(server_id: UUID, region_id: str | None = None) -> None:
    """Observe the server's hubs."""
    region = region_id or _region_of(Server, server_id)
    _enqueue("observe", "vpn.jobs.runtime.looks.begin_observing", str(server_id), region_id=region, ttl=_OBSERVE_TTL)


def enqueue_check(server_id: UUID, region_id: str | None = None) -> None:
    """Check whether a server answers."""
    region = region_id or _region_of(Server, server_id)
    _enqueue("observe", "vpn.jobs.runtime.looks.begin_check", str(server_id), region_id=region, ttl=_OBSERVE_TTL)


def enqueue_knock(region_id: str) -> None:
    """Test the listeners of the region's hubs."""
    _enqueue("knock", "vpn.jobs.knock.knock_region", region_id, region_id=region_id)


def enqueue_prepare(server_id: UUID) -> None:
    """Prepare a server, or continue to."""
    region = _region_of(Server, server_id)
    _enqueue("provision", "vpn.jobs.preparation.prepare_server", str(server_id), region_id=region)


def enqueue_host_key(server_id: UUID) -> None:
    """Look at the host key that a server shows."""
    region = _region_of(Server, server_id)
    _enqueue("provision", "vpn.jobs.preparation.look_at_host_key", str(server_id), region_id=region)


def enqueue_compromised(row_id: UUID, organization_id: UUID, region_id: str) -> None:
    """Give a hub of a compromised server new keys and another server, or continue to."""
    function = "vpn.jobs.compromise.go_on_renewing"
    _enqueue("provision", function, str(row_id), organization_id=organization_id, region_id=region_id)


def enqueue_node(server_id: UUID) -> None:
    """Look at a cloud's server: order it, wait for it, open its ports, or remove it."""
    region = _region_of(Server, server_id)
    _enqueue("provision", "vpn.jobs.nodes.look_at_node", str(server_id), region_id=region)


def enqueue_cloud_test(account_id: UUID, region_id: str) -> None:
    """Test the credentials of a cloud account."""
    _enqueue("provision", "vpn.jobs.clouds.test_cloud", str(account_id), region_id=region_id)


def enqueue_sweep(account_id: UUID, region_id: str) -> None:
    """List what a cloud has with the portal's tag."""
    _enqueue("provision", "vpn.jobs.clouds.sweep_cloud", str(account_id), region_id=region_id)


def enqueue_stray(stray_id: UUID, region_id: str) -> None:
    """Remove something that staff no longer want to pay for."""
    _enqueue("provision", "vpn.jobs.clouds.remove_stray", str(stray_id), region_id=region_id)


def enqueue_plan_mail(plan_id: UUID, organization_id: UUID) -> None:
    """Mail the members whom a change affects."""
    _enqueue("mail", "vpn.jobs.mail.mail_plan", str(plan_id), organization_id=organization_id)


def enqueue_queued_mail(mail_id: UUID, organization_id: UUID | None) -> None:
    """Send a queued mail; a password mail belongs to no organization."""
    _enqueue("mail", "vpn.jobs.mail.send_one", str(mail_id), organization_id=organization_id)


def enqueue_loss_mail(server_id: UUID) -> None:
    """Mail staff that a server is lost."""
    _enqueue("mail", "vpn.jobs.mail.mail_loss", str(server_id))


def enqueue_tick(queue_name: str, function: str) -> None:
    """Enqueue scheduled work. One that waits already stands for all later rings, so none is dropped for its age."""
    _enqueue(queue_name, function)


def queue_of(name: str, region_id: str = "") -> Queue:
    """Return a queue; with a region, that region's."""
    return PortalQueue(
        f"{name}:{region_id}" if region_id else name,
        default_timeout=settings.JOB_TIMEOUT,
        connection=shared_redis(),
        job_class=PortalJob,
    )


def waiting_revocations() -> set[UUID]:
    """Return the instances of this worker's regions that wait for an urgent apply; none if Redis is unreachable."""
    try:
        regions = ["", *(settings.WORKER_REGIONS or regions_with_queues())]
        with shared_redis().pipeline(transaction=False) as pipeline:
            for region in regions:
                pipeline.lrange(queue_of("urgent", region).key, 0, -1)
            ids = [job.decode(errors="replace") for jobs in pipeline.execute() for job in jobs]
    except (RedisError, OSError):
        return set()
    return {found for each in ids if (found := subject_of(each, "apply_urgently")) is not None}


def regions_with_queues() -> set[str]:
    """Return the regions for which a job was enqueued. Raises RedisError or OSError."""
    keys = shared_redis().smembers(PortalQueue.redis_queues_keys)
    found = (_REGION_QUEUE.search(key.decode(errors="replace") if isinstance(key, bytes) else key) for key in keys)
    return {match[2] for match in found if match is not None and match[1] in REGION_QUEUES}


def _region_of(model: type[Instance | Server], pk: UUID) -> str:
    """Return the region of an instance or a server; "" if it is not there."""
    return model.objects.filter(pk=pk).values_list("region", flat=True).first() or ""


def _enqueue_for(
    queue_name: str, function: str, instance_id: UUID, organization_id: UUID, region_id: str | None
) -> None:
    region = region_id if region_id is not None else _region_of(Instance, instance_id)
    _enqueue(queue_name, function, str(instance_id), organization_id=organization_id, region_id=region)


def _enqueue(
    queue_name: str,
    function: str,
    *subject: str,
    organization_id: UUID | None = None,
    region_id: str = "",
    ttl: int | None = None,
) -> None:
    # Jobs for a whole region need no other distinction in its queue.
    about = UUID(subject[0]) if subject and subject[0] != region_id else None
    try:
        queue_of(queue_name, region_id).enqueue_call(
            function,
            args=subject,
            ttl=ttl,
            result_ttl=_RESULT_TTL,
            failure_ttl=_FAILURE_TTL,
            job_id=job_id(organization_id, function, about),
        )
        # For workers that are started on demand.
        shared_redis().publish(BELL, queue_name)
    except (RedisError, OSError) as error:
        logger.warning("Could not ring for %s (%s); reconcile will", function, error)
