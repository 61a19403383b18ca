"""The doorbell: enqueues jobs by ids, as JSON, and only functions of `vpn.jobs`.

Redis is not trusted to name code, and not needed for truth: a ring that fails is logged, and reconcile rings again.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import django_rq
from django_rq.queues import DjangoRQ
from redis.exceptions import RedisError
from rq.job import Job
from rq.serializers import JSONSerializer

logger = logging.getLogger(__name__)

ALLOWED_JOBS = frozenset(
    {
        "vpn.jobs.apply.apply_instance",
        "vpn.jobs.provision.provision_instance",
        "vpn.jobs.provision.destroy_instance",
        "vpn.jobs.knock.knock_all",
        "vpn.jobs.mail.mail_plan",
        "vpn.jobs.observe.observe_instance",
        "vpn.jobs.observe.observe_all",
        "vpn.jobs.reconcile.reconcile_all",
        "vpn.jobs.reconcile.renew_certificates",
        "vpn.jobs.reconcile.tidy",
    }
)
# Finished jobs leave nothing behind; failed ones stay for an hour, for staff to look at.
_RESULT_TTL = 0
_FAILURE_TTL = 3600
# For how long a ring that no worker has answered keeps others silent.
_RUNG_SECONDS = 5
# What the clock rings for is rung for again soon: a ring that nobody heard in time is dropped.
_TICK_TTL = 10


class ForbiddenJob(Exception):
    """Redis named a function that is not one of the portal's jobs."""


class PortalJob(Job):
    """A job that runs nothing but the portal's own job functions, and is read as JSON whoever asks for it."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002
        # rq falls back to pickle wherever one of its own calls names no serializer.
        super().__init__(id=id, connection=connection, serializer=JSONSerializer)

    @property
    def func(self) -> Any:
        """The job's function, if it is one of ALLOWED_JOBS."""
        if self.func_name not in ALLOWED_JOBS:
            raise ForbiddenJob(f"{self.func_name!r} is not a job of this portal")
        return super().func

    @property
    def success_callback(self) -> None:
        """None: no job of ours has a callback, and one that Redis names would be imported and called."""

    @property
    def failure_callback(self) -> None:
        """None, as above."""

    @property
    def stopped_callback(self) -> None:
        """None, as above."""


class PortalQueue(DjangoRQ):
    """The queue class of the portal; its registries take its serializer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # rq ships no types here
        self.serializer = JSONSerializer


def enqueue_apply(instance_id: UUID) -> None:
    """Bring the instance's hub up to date. One ring is enough for many changes: see `answer_apply`."""
    try:
        first = django_rq.get_connection("apply").set(_rung(instance_id), 1, nx=True, ex=_RUNG_SECONDS)
    except (RedisError, OSError):
        first = True
    if first:
        _enqueue("apply", "vpn.jobs.apply.apply_instance", str(instance_id))


def answer_apply(instance_id: UUID) -> None:
    """Note that a worker comes to look, before it reads any row: what changes from now on needs a ring of its own."""
    try:
        django_rq.get_connection("apply").delete(_rung(instance_id))
    except (RedisError, OSError) as error:
        logger.warning("Could not answer a ring (%s)", error)


def _rung(instance_id: UUID) -> str:
    return f"portal:rung:{instance_id}"


def enqueue_provision(instance_id: UUID) -> None:
    """Create the instance's hub, or go on creating it."""
    _enqueue("provision", "vpn.jobs.provision.provision_instance", str(instance_id))


def enqueue_destroy(instance_id: UUID) -> None:
    """Take the instance's hub down."""
    _enqueue("provision", "vpn.jobs.provision.destroy_instance", str(instance_id))


def enqueue_observe(instance_id: UUID) -> None:
    """Look at what the instance's hub does."""
    _enqueue("observe", "vpn.jobs.observe.observe_instance", str(instance_id), ttl=_TICK_TTL)


def enqueue_plan_mail(plan_id: UUID) -> None:
    """Write to the people whom a change concerns."""
    _enqueue("provision", "vpn.jobs.mail.mail_plan", str(plan_id))


def enqueue_tick(queue_name: str, function: str) -> None:
    """Ring for scheduled work."""
    _enqueue(queue_name, function, ttl=_TICK_TTL)


def _enqueue(queue_name: str, function: str, *args: str, ttl: int | None = None) -> None:
    try:
        django_rq.get_queue(queue_name).enqueue_call(
            function, args=args, ttl=ttl, result_ttl=_RESULT_TTL, failure_ttl=_FAILURE_TTL
        )
    except (RedisError, OSError) as error:
        logger.warning("Could not ring for %s (%s); reconcile will", function, error)
