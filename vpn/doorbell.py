"""Enqueues jobs in Redis: with ids only, as JSON, and only functions of `vpn.jobs`.

Redis is not trusted to name code, and holds no state that matters: an enqueueing that fails is logged, and reconcile
repeats it. Organizations take turns in every queue, and one job is enough for many changes: see `turns`.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any
from uuid import UUID

import django_rq
from django.conf import settings
from django_rq.queues import DjangoRQ
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq.job import Job
from rq.serializers import JSONSerializer

from vpn.turns import job_id, take_place

logger = logging.getLogger(__name__)

ALLOWED_JOBS = frozenset(
    {
        "vpn.jobs.apply.apply_instance",
        "vpn.jobs.availability.check_server",
        "vpn.jobs.apply.apply_urgently",
        "vpn.jobs.preparation.look_at_host_key",
        "vpn.jobs.preparation.prepare_server",
        "vpn.jobs.provision.provision_instance",
        "vpn.jobs.provision.destroy_instance",
        "vpn.jobs.knock.knock_all",
        "vpn.jobs.names.keep_names",
        "vpn.jobs.mail.mail_plan",
        "vpn.jobs.mail.send_one",
        "vpn.jobs.observe.observe_server",
        "vpn.jobs.plan.answer_asked_plan",
        "vpn.jobs.plan.find_outdated_profiles",
        "vpn.jobs.plan.work_out_plans",
        "vpn.jobs.observe.observe_all",
        "vpn.jobs.reconcile.reconcile_all",
        "vpn.jobs.certificates.renew_certificates",
        "vpn.jobs.tidy.tidy",
    }
)
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

    def push_job_id(self, job_id: str, pipeline: Pipeline | None = None, at_front: bool = False) -> None:
        """Insert a saved job in the queue by turns; no portal job goes to the front."""
        take_place(pipeline if pipeline is not None else self.connection, self.key, job_id)


def enqueue_apply(instance_id: UUID, organization_id: UUID, *, urgent: bool = False) -> None:
    """Update the instance's hub; `urgent` if the change revokes access."""
    queue_name, function = ("urgent", "apply_urgently") if urgent else ("apply", "apply_instance")
    _enqueue(queue_name, f"vpn.jobs.apply.{function}", str(instance_id), organization_id=organization_id)


def enqueue_provision(instance_id: UUID, organization_id: UUID) -> None:
    """Create the instance's hub, or continue to create it."""
    _enqueue("provision", "vpn.jobs.provision.provision_instance", str(instance_id), organization_id=organization_id)


def enqueue_destroy(instance_id: UUID, organization_id: UUID) -> None:
    """Delete the instance's hub."""
    _enqueue("destroy", "vpn.jobs.provision.destroy_instance", str(instance_id), organization_id=organization_id)


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


def enqueue_observe(server_id: UUID) -> None:
    """Observe the server's hubs."""
    _enqueue("observe", "vpn.jobs.observe.observe_server", str(server_id), ttl=_OBSERVE_TTL)


def enqueue_check(server_id: UUID) -> None:
    """Check whether a server answers."""
    _enqueue("observe", "vpn.jobs.availability.check_server", str(server_id), ttl=_OBSERVE_TTL)


def enqueue_prepare(server_id: UUID) -> None:
    """Prepare a server, or continue to."""
    _enqueue("provision", "vpn.jobs.preparation.prepare_server", str(server_id))


def enqueue_host_key(server_id: UUID) -> None:
    """Look at the host key that a server shows."""
    _enqueue("provision", "vpn.jobs.preparation.look_at_host_key", str(server_id))


def enqueue_plan_mail(plan_id: UUID, organization_id: UUID) -> None:
    """Mail the members whom a change affects."""
    _enqueue("mail", "vpn.jobs.mail.mail_plan", str(plan_id), organization_id=organization_id)


def enqueue_queued_mail(mail_id: UUID, organization_id: UUID | None) -> None:
    """Send a queued mail; a password mail belongs to no organization."""
    _enqueue("mail", "vpn.jobs.mail.send_one", str(mail_id), organization_id=organization_id)


def enqueue_tick(queue_name: str, function: str) -> None:
    """Enqueue scheduled work. One that waits already stands for all later rings, so none is dropped for its age."""
    _enqueue(queue_name, function)


def _enqueue(
    queue_name: str, function: str, *subject: str, organization_id: UUID | None = None, ttl: int | None = None
) -> None:
    new_id = job_id(organization_id, function, UUID(subject[0]) if subject else None)
    try:
        django_rq.get_queue(queue_name, connection=shared_redis()).enqueue_call(
            function, args=subject, ttl=ttl, result_ttl=_RESULT_TTL, failure_ttl=_FAILURE_TTL, job_id=new_id
        )
    except (RedisError, OSError) as error:
        logger.warning("Could not ring for %s (%s); reconcile will", function, error)
