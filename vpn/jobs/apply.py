"""Apply an instance's rows to its hub: claim, compile, send, record the confirmation, check for newer changes."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.models import Principal
from portal.sealing import UnsealError
from portal.told import told
from vpn import doorbell, failures
from vpn.actions.activity.asking import askers_of
from vpn.actions.activity.operation import begin_operation
from vpn.actions.instances.recovery import raise_epoch, raise_generation
from vpn.actions.instances.trial import note_trial
from vpn.choices import InstanceState, OperationKind, OperationState
from vpn.desired import ConcurrentChange, Desired, compile_change, compile_spec
from vpn.drivers.base import AgentError, HubReport, Unreachable, errors
from vpn.jobs import lease
from vpn.jobs.ahead import Sent, follows, forget, has_to_wait, send_ahead, sent_before
from vpn.jobs.leases import note_leased, renew_lease
from vpn.jobs.progress import (
    Report,
    begin_step,
    fail_operation,
    finish_operation,
    finish_step,
    next_step,
    reopen_operation,
)
from vpn.jobs.servers import driver_for
from vpn.jobs.summary import summary_of
from vpn.models import ChangePlan, Instance, InstanceObservation, Operation, Peer
from vpn.models.instance import LONGEST_FAILURE
from vpn.observed import record_applied
from vpn.presenters.findings import sentence_of
from vpn.wire.finding import Finding

logger = logging.getLogger(__name__)
_UNCONFIRMED = Principal.portal(gettext_noop("the change was not confirmed in time"))
_BY = Principal.portal(gettext_noop("bringing the hub up to date"))
_ATTEMPTS = 5
_RETRY_SECONDS = 30
_ASK_AGAIN_SECONDS = 0.05


def apply_instance(instance_id: str) -> None:
    """Apply an instance's rows to its hub. Harmless to run twice; safe to kill anywhere.

    Changes that are saved meanwhile get another turn, so that a hub with constant changes does not occupy a worker.
    """
    pk = UUID(instance_id)
    if (instance := _behind(pk)) is not None and (token := lease.claim(pk)) is not None:
        _take_turn(instance, token, None)


def apply_urgently(instance_id: str) -> None:
    """Apply a revocation: send it to the hub before any write to the database, then continue like `apply_instance`.

    A claim may wait for seconds for another organization's transaction. So revocations of other hubs that wait are sent
    before this one is recorded. If another apply of the same hub is running, the server removes peers early; for any
    other revocation, this job keeps asking for its turn.
    """
    pk = UUID(instance_id)
    if (instance := _behind(pk)) is None:
        forget(pk)
        return
    ahead, is_enforced = sent_before(instance), True
    if ahead is None:
        ahead, is_enforced = send_ahead(instance)
        if ahead is not None and has_to_wait(pk, ahead):
            doorbell.enqueue_apply(pk, instance.organization_id, instance.region_id, urgent=True)
            return
    if (token := lease.claim(pk)) is not None:
        _take_turn(instance, token, ahead)
    else:
        # The running apply may have read the rows before the change. Other hubs' revocations run in between.
        time.sleep(_ASK_AGAIN_SECONDS)
        doorbell.enqueue_apply(pk, instance.organization_id, instance.region_id, urgent=not is_enforced)


def _take_turn(seen: Instance, token: UUID, ahead: Sent | None) -> None:
    """Run one round for an instance that was `seen` before it was claimed; ring again if changes are left."""
    pk, applied = seen.pk, False
    try:
        if (instance := _behind(pk)) is not None:
            if ahead is not None and not follows(instance, ahead[0]):
                ahead = None
            if ahead is not None and ahead[0].is_part:
                applied = _note_part(pk, token, *ahead)
            else:
                applied = _apply_claimed(pk, token, ahead)
    finally:
        lease.release(pk, token)
    # A job that found the instance claimed leaves its change to this one. A failed apply waits, a new change does not.
    left = _behind(pk)
    if left is not None and (applied or left.desired_generation > seen.desired_generation):
        doorbell.enqueue_apply(pk, left.organization_id, left.region_id)


def _note_part(pk: UUID, token: UUID, sent: Desired, report: HubReport) -> bool:
    """Record a removal that was sent ahead. Its generation is now used on the server, so the rest gets a new one."""
    base = sent.document["base"]["generation"]
    with transaction.atomic():
        noted = record_applied(pk, token, sent, report)
        if noted:
            raise_generation(pk, by=_BY, since=base)
            newest = Instance.objects.values_list("desired_generation", flat=True).get(pk=pk)
            Peer.objects.filter(instance=pk, changed_generation__gt=base).update(changed_generation=newest)
    return noted


def _behind(pk: UUID) -> Instance | None:
    """Return the instance if its hub is behind. A hub that is being created or removed is not this job's task."""
    ready = Instance.objects.filter(pk=pk, state=InstanceState.READY, configured=True)
    instance = ready.select_related("server__region").first()
    return instance if instance is not None and not instance.is_up_to_date else None


def _apply_claimed(pk: UUID, token: UUID, ahead: Sent | None) -> bool:
    """Run one round under a claim, or the rest of one that was sent `ahead`; False if a retry has to wait."""
    operation: Operation | None = None
    try:
        desired = ahead[0] if ahead else compile_change(pk)
        operation = _operation(pk, desired)
        sent, report = ahead or send(pk, desired)
        return _conclude(pk, token, operation, sent, report)
    except (AgentError, Unreachable, ConcurrentChange, UnsealError) as error:
        logger.warning("Applying instance %s failed: %s", pk, describe(error))
        if operation is None and isinstance(error, UnsealError):
            operation = _operation(pk, None)
        if operation is not None:
            _note_failure(pk, token, operation, cause_of(error))
        return False


def _operation(pk: UUID, desired: Desired | None) -> Operation:
    """Return the operation for the Activity page: an open or failed one for the same change, else a new one.

    `desired` is None if the spec could not be compiled.
    """
    with transaction.atomic():
        instance = Instance.objects.get(pk=pk)
        last = instance.operations.filter(kind=OperationKind.APPLY).first()
        if last is not None and last.state != OperationState.RUNNING and not instance.failure:
            last = None
        plans = _plans_on_the_way(instance, last, desired)
        summary = summary_of(instance, desired, plans.only("changed")) if desired is not None else []
        carried = desired.generation if desired is not None else instance.desired_generation
        askers = askers_of(instance, carried)
        if last is not None:
            reopen_operation(last, summary, askers)
        operation = last or begin_operation(instance, OperationKind.APPLY, summary, by=_BY, askers=askers)
        plans.update(operation=operation)
        step = next_step(operation)
        if step is not None:
            begin_step(step)
    return operation


def _plans_on_the_way(instance: Instance, reopened: Operation | None, desired: Desired | None) -> QuerySet[ChangePlan]:
    """Return the plans of the changes in the operation, including those of a reopened one."""
    concerned = Q(operation=None) | Q(operation=reopened) if reopened is not None else Q(operation=None)
    newest = desired.generation if desired is not None else 0
    return ChangePlan.objects.filter(concerned, instance=instance, generation__lte=newest)


def send(pk: UUID, desired: Desired) -> tuple[Desired, HubReport]:
    """Send the desired state to the agent, and resolve a refusal because of another state on the server.

    Returns the confirmed state and report. Raises AgentError or Unreachable.
    """
    instance = Instance.objects.select_related("server__region").get(pk=pk)
    driver = driver_for(instance.server)
    for _ in range(_ATTEMPTS):
        asked_at = timezone.now()
        try:
            report = driver.apply(desired.document, delta=desired.is_delta)
        except AgentError as error:
            if error.code == errors.LEASE_OVER and instance.server is not None:
                renew_lease(driver, instance.server)
                desired = compile_spec(pk)  # a delta carries no lease
            else:
                desired = _back_in_step(pk, instance, desired, error)
        else:
            if driver.lease is not None and not desired.is_delta:
                note_leased([pk], instance.server_id)
            note_trial(pk, report.trial, asked_at, by=_UNCONFIRMED)
            return desired, report
    raise Unreachable(failures.OUT_OF_STEP.of())


def _back_in_step(pk: UUID, instance: Instance, sent: Desired, error: AgentError) -> Desired:
    """Return what to send after a refusal that the portal can resolve; raise other errors."""
    if error.code in {errors.BASE_MISMATCH, errors.UNKNOWN_HUB} and sent.is_delta:
        return compile_spec(pk)
    if error.code == errors.CONFLICT:
        raise_generation(pk, by=_BY)
        return compile_spec(pk)
    if error.code in {errors.STALE, errors.DESTROYED}:
        newer = compile_spec(pk)
        if error.code == errors.STALE and (newer.epoch, newer.generation) > (sent.epoch, sent.generation):
            return newer
        raise_epoch(pk, above=server_epoch(instance), by=_BY)
        return compile_spec(pk)
    raise error


def server_epoch(instance: Instance) -> int:
    """Return the hub's epoch on the server, or 0 if the server does not have the hub."""
    try:
        return driver_for(instance.server).status(instance.hub, peers=False).epoch
    except AgentError:
        return 0


def _conclude(pk: UUID, token: UUID, operation: Operation, desired: Desired, report: HubReport) -> bool:
    """Record the confirmation; False if it differs from what was sent, or if the claim was lost."""
    with transaction.atomic():
        recorded = record_applied(pk, token, desired, report)
        if recorded:
            step = next_step(operation)
            if step is not None:
                finish_step(step, _outcome(operation, report))
            finish_operation(operation)
    if recorded:
        if report.changed.get("openvpn") and not desired.is_delta:
            # Listeners may have started: the next knock tests them.
            InstanceObservation.objects.note([pk], knocked_at=None)
        return True
    if Instance.objects.filter(pk=pk, lease_token=token).exists():
        logger.warning("The server of instance %s confirmed something else than it was sent", pk)
        _note_failure(pk, token, operation, failures.OTHER_CONFIRMED.of())
    return False


def _outcome(operation: Operation, report: HubReport) -> Report:
    """Return the result of an operation."""
    changed = [name for name, did in report.changed.items() if did]
    outcome = told("applied", parts=", ".join(changed)) if changed else told("applied-before")
    # Agents of the release before sent sentences.
    return [outcome, told("undone", drift=" ".join(operation.drift))] if operation.drift else outcome


def _note_failure(pk: UUID, token: UUID, operation: Operation, cause: Finding | str) -> None:
    with transaction.atomic():
        step = next_step(operation)
        if step is not None:
            fail_operation(operation, step, cause)
        Instance.objects.filter(pk=pk, lease_token=token).update(
            failure=sentence_of(cause)[:LONGEST_FAILURE],
            refusal=cause.document() if isinstance(cause, Finding) else None,
            retry_at=timezone.now() + timedelta(seconds=_RETRY_SECONDS),
        )


def describe(error: Exception) -> str:
    """What happened, in words for an admin."""
    return sentence_of(cause_of(error))


def cause_of(error: Exception) -> Finding | str:
    """Why background work failed; a text only from an agent of the release before, which sent sentences."""
    if isinstance(error, AgentError):
        return error.finding or error.message
    if isinstance(error, Unreachable):
        return error.finding
    if isinstance(error, ConcurrentChange):
        return failures.CONCURRENT_CHANGE.of()
    if isinstance(error, UnsealError):
        # Its text begins with the table and the column.
        return failures.SECRET_UNREADABLE.of(str(error).partition(" ")[0])
    return str(error)
