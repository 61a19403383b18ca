"""Safety net: enqueue jobs again for everything that lags, in case the first job was lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.actions.queued_mail import due_mail
from portal.models import Principal
from vpn import doorbell
from vpn.actions.activity.plan_mail import MAIL_RETRIED
from vpn.actions.instances.recovery import raise_generation
from vpn.actions.peers.admission import expire_peers
from vpn.actions.sites.overlaps import repair_networks
from vpn.choices import InstanceState, OperationKind, OperationState, PlanState
from vpn.desired import ConcurrentChange, compile_digest
from vpn.jobs.tick import scheduled
from vpn.jobs.waiting import WAITING
from vpn.models import ChangePlan, Instance, InstanceObservation, Operation, Peer, PeerTombstone, RetiredHub
from vpn.models.querysets import InstanceQuerySet

logger = logging.getLogger(__name__)
RECONCILE_SECONDS = 5
_EXPIRY = Principal.portal(gettext_noop("a peer expired"))
_REPAIR = Principal.portal(gettext_noop("the hub lagged behind its settings"))
_VERIFY_EVERY = timedelta(seconds=60)
# A hub with thousands of peers is compared less often: it takes at most this share of one CPU.
_VERIFY_SHARE = 0.001
# Verifying compiles everything: at most this many seconds of processor time at a time, beyond that the last hub.
_VERIFY_SECONDS = 0.2
_VERIFIED_AT_ONCE = 100
# The cost of a ring grows with the queue. Those that lag behind these are rung for once these are done.
_RUNG_AT_ONCE = 200
_GRACE = timedelta(seconds=5)
_TEARDOWN_RETRY = timedelta(seconds=30)
_MAIL_RETRY = timedelta(seconds=30)


@scheduled("reconcile", RECONCILE_SECONDS)
def reconcile_all() -> None:
    """Ring for every instance whose server has not confirmed everything."""
    now = timezone.now()
    work = WAITING.ask()
    if "expiry" in work:
        expire_peers(by=_EXPIRY)
    if not work.isdisjoint({"expiry", "instances"}):
        _ring_for_instances(now)
        _note_lags(now)
    if "moves" in work:
        _ring_for_moves(now)
    if "mail" in work:
        _ring_for_mail()
    if "plans" in work:
        _ring_for_plans()
    if "verify" in work:
        _verify()


def _ring_for_instances(now: datetime) -> None:
    """Ring for new, ending and lagging instances."""
    free = Instance.objects.unclaimed()
    new = free.filter(state__in=[InstanceState.PENDING, InstanceState.PROVISIONING], created_at__lt=now - _GRACE)
    for ids in _in_turns(new).values_list("pk", "organization", "region")[:_RUNG_AT_ONCE]:
        doorbell.enqueue_provision(*ids)
    due = Q(retry_at=None) | Q(retry_at__lt=now - _TEARDOWN_RETRY)
    ending = _in_turns(free.filter(due, state=InstanceState.DELETING)).values_list("pk", "organization", "region")
    deleted = list(ending[:_RUNG_AT_ONCE])
    _reopen_teardowns([pk for pk, *_ in deleted])
    for ids in deleted:
        doorbell.enqueue_destroy(*ids)
    behind = Q(applied_generation__lt=F("desired_generation")) | ~Q(applied_epoch=F("epoch"))
    lagging = free.filter(behind, Q(retry_at=None) | Q(retry_at__lt=now), state=InstanceState.READY)
    urgent_first = lagging.annotate(urgent=_may_revoke(), turn=_turn()).order_by("-urgent", "turn", "created_at")
    rows = urgent_first.values_list("pk", "organization", "region", "urgent")
    for pk, organization_id, region_id, urgent in rows[:_RUNG_AT_ONCE]:
        doorbell.enqueue_apply(pk, organization_id, region_id, urgent=urgent)


def _in_turns(instances: InstanceQuerySet) -> InstanceQuerySet:
    """Order them so that each organization has one before any has its next; the oldest first."""
    return instances.annotate(turn=_turn()).order_by("turn", "created_at")


def _turn() -> Window:
    return Window(RowNumber(), partition_by=F("organization"), order_by="created_at")


def _may_revoke() -> Q:
    """Matches instances whose lag may leave a revoked peer connected: a peer on the hub was changed or deleted."""
    known = Peer.objects.exclude(applied_digest="").filter(
        instance=OuterRef("pk"), changed_generation__gt=OuterRef("applied_generation")
    )
    deleted = PeerTombstone.objects.exclude(applied_digest="").filter(instance=OuterRef("pk"))
    return Exists(known) | Exists(deleted)


def _ring_for_moves(now: datetime) -> None:
    """Ring for moves under way, which go on in a later job, and for hubs that instances left on servers."""
    moving = Operation.objects.filter(
        kind__in=[OperationKind.MOVE, OperationKind.REBUILD],
        state=OperationState.RUNNING,
        instance__in=Instance.objects.unclaimed(),
    )
    for ids in moving.order_by("started_at").values_list("instance", "instance__organization")[:_RUNG_AT_ONCE]:
        doorbell.enqueue_move(*ids)
    retired = RetiredHub.objects.filter(due_at__lt=now).order_by("due_at")
    for pk, region_id in retired.values_list("pk", "server__region")[:_RUNG_AT_ONCE]:
        doorbell.enqueue_retired(pk, region_id)


def _note_lags(now: datetime) -> None:
    """Record since when servers are behind, so that a hanging apply is noticed. Only changes are written."""
    behind = Q(applied_generation__lt=F("desired_generation")) | ~Q(applied_epoch=F("epoch"))
    Instance.objects.filter(behind, state=InstanceState.READY, lagging_since=None).update(lagging_since=now)
    Instance.objects.filter(~behind, lagging_since__isnull=False).update(lagging_since=None)


def _ring_for_mail() -> None:
    """Ring for the mail of a few plans at a time, in turn, so that one that is stuck does not block the others."""
    now = timezone.now()
    unsent = ChangePlan.objects.filter(mail_requested_at__gt=now - MAIL_RETRIED, mail_finished_at=None)
    due = unsent.filter(Q(mail_tried_at=None) | Q(mail_tried_at__lt=now - _MAIL_RETRY))
    waiting = due.filter(mail_requested_at__lt=now - _MAIL_RETRY)
    turns = waiting.order_by(F("mail_tried_at").asc(nulls_first=True), "mail_requested_at")
    for ids in turns.values_list("pk", "instance__organization")[:20]:
        doorbell.enqueue_plan_mail(*ids)
    for queued in due_mail().values_list("pk", "membership__organization")[:100]:
        doorbell.enqueue_queued_mail(*queued)


def _ring_for_plans() -> None:
    """Ring again for changes that still have no plan some time after they were saved."""
    late = ChangePlan.objects.filter(state=PlanState.WAITING, created_at__lt=timezone.now() - _GRACE)
    instances = late.order_by().values_list("instance", "instance__organization").distinct()
    for pk, organization_id in instances[:100]:
        doorbell.enqueue_plans(pk, organization_id)


def _reopen_teardowns(instances: Collection[UUID]) -> None:
    """Retry failed teardowns until they succeed, or until staff delete the instances' rows."""
    failed = Operation.objects.filter(instance__in=instances, kind="destroy", state=OperationState.FAILED)
    failed.update(state=OperationState.RUNNING, finished_at=None)


def _verify() -> None:
    """Compare compiled specs with confirmed ones. This finds a change that did not raise the generation."""
    began = time.process_time()
    due = Instance.objects.unclaimed().filter(
        Q(observation__verify_at=None) | Q(observation__verify_at__lte=timezone.now()),
        state=InstanceState.READY,
        applied_generation=F("desired_generation"),
    )
    for instance in due.order_by(F("observation__verify_at").asc(nulls_first=True))[:_VERIFIED_AT_ONCE]:
        InstanceObservation.objects.note([instance.pk], verify_at=timezone.now() + _VERIFY_EVERY)
        started = time.process_time()
        with suppress(ConcurrentChange, Instance.DoesNotExist):
            _repair_networks(instance.pk)
            _compare(instance)
        ended = time.process_time()
        rest = timedelta(seconds=(ended - started) / _VERIFY_SHARE)
        if rest > _VERIFY_EVERY:
            InstanceObservation.objects.note([instance.pk], verify_at=timezone.now() + rest)
        if ended - began > _VERIFY_SECONDS:
            return  # The next tick continues.


def _compare(instance: Instance) -> None:
    generation, digest = compile_digest(instance.pk)
    if generation == instance.applied_generation and digest != instance.applied_digest:
        logger.warning("Instance %s lags without a raised generation; applying it whole", instance.pk)
        raise_generation(instance.pk, by=_REPAIR)
        doorbell.enqueue_apply(instance.pk, instance.organization_id, instance.region_id)


def _repair_networks(pk: UUID) -> None:
    if count := repair_networks(pk, by=_REPAIR):
        logger.warning("Instance %s: the rows of networks of %d peers were not their subnets; mended", pk, count)
