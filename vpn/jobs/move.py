"""Move a hub to another server, or build it anew, in steps. Every step may be repeated, in this job or in a later one.

Before the switch, a failure leaves the hub where it is. After it, what is left to do does not fail the move.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.models import Principal
from portal.sealing import UnsealError
from portal.told import Told, told
from vpn import doorbell, failures
from vpn.actions.change import lock_instance
from vpn.actions.instances.move import MOVES, placed, prepare_move, raise_move_epoch, switch_instance
from vpn.actions.instances.retirement import give_up_move
from vpn.choices import OperationState, StepName
from vpn.desired import ConcurrentChange, Desired, compile_placed
from vpn.drivers.base import AgentError, Driver, HubReport, Unreachable, errors
from vpn.jobs import lease
from vpn.jobs.apply import cause_of
from vpn.jobs.at_work import at_work_on, require_claim, ring_for_next, servers_of
from vpn.jobs.knock import ensure_probe
from vpn.jobs.leases import may_run_without_answer, renew_lease
from vpn.jobs.ordered import await_boot, await_order, await_preparation
from vpn.jobs.progress import (
    Report,
    StepWaits,
    begin_step,
    fail_operation,
    finish_operation,
    finish_step,
    next_step,
    told_cause,
)
from vpn.jobs.proving import StepFailed, prove, publish_name
from vpn.jobs.retirement import MOST_GENERATION, hand_over
from vpn.jobs.servers import driver_for
from vpn.models import Instance, InstanceObservation, Move, Operation, OperationStep
from vpn.models.peer import with_openvpn
from vpn.presenters.findings import sentence_of
from vpn.proofs import record_knock
from vpn.wire.finding import Finding
from vpn.wire.forwarding import MOST_CLIENTS, Handover

logger = logging.getLogger(__name__)
_BY = Principal.portal(gettext_noop("moving the hub"))
_ATTEMPTS = 5
# After this time a job begins no further step: each may take some ten seconds.
_SLICE_SECONDS = 8.0
# A WireGuard client with an older handshake has no session.
_ACTIVE_SECONDS = 240


class Run(enum.Enum):
    """How far a job came: to the end, as far as its time sufficed, or to a step that waits or has failed."""

    DONE = "done"
    CUT = "cut"
    STOPPED = "stopped"


def go_on_moving(instance_id: str) -> None:
    """Continue the move or the rebuild of an instance, from the first step that is not done."""
    pk = UUID(instance_id)
    run = Run.STOPPED
    with at_work_on(pk) as token:
        if token is None:
            return
        operation = _running(pk)
        if operation is not None and (run := _run_steps(pk, token, operation)) is Run.DONE:
            finish_operation(operation)
    if operation is not None and not _goes_on(operation):
        ring_for_next(servers_of(pk))
    if run is Run.CUT and operation is not None:
        doorbell.enqueue_move(pk, operation.instance.organization_id)
    # A change that was saved meanwhile could not claim the instance.
    instance = Instance.objects.filter(pk=pk).first()
    if instance is not None and not instance.is_up_to_date:
        doorbell.enqueue_apply(pk, instance.organization_id)


def _running(pk: UUID) -> Operation | None:
    return Operation.objects.filter(instance=pk, kind__in=MOVES, state=OperationState.RUNNING).first()


def _goes_on(operation: Operation) -> bool:
    """Return True unless it was cancelled. Another move of the same instance may have begun since."""
    return Operation.objects.filter(pk=operation.pk, state=OperationState.RUNNING).exists()


def _run_steps(pk: UUID, token: UUID, operation: Operation) -> Run:
    """Run the remaining steps. One that has to wait goes on in a later job, for which reconcile rings."""
    ends = time.monotonic() + _SLICE_SECONDS
    while (step := next_step(operation)) is not None:
        if not lease.renew(pk, token) or not _goes_on(operation):
            return Run.STOPPED
        begin_step(step)
        try:
            message = _STEPS[step.name](operation, token)
        except (AgentError, Unreachable, UnsealError, StepFailed) as error:
            _fail(pk, operation, step, error.cause if isinstance(error, StepFailed) else cause_of(error))
            return Run.STOPPED
        except (ConcurrentChange, StepWaits):
            return Run.STOPPED
        except (Instance.DoesNotExist, Move.DoesNotExist):
            return Run.STOPPED  # Deleted or cancelled meanwhile.
        if not _goes_on(operation):
            return Run.STOPPED
        finish_step(step, message)
        if time.monotonic() > ends and next_step(operation) is not None:
            return Run.CUT
    return Run.DONE


def _fail(pk: UUID, operation: Operation, step: OperationStep, cause: Finding | Told | str) -> None:
    """End the move. The hub stays where it is, and the new one is removed."""
    logger.warning("Step %s of the move of instance %s failed: %s", step.name, pk, sentence_of(cause))
    with transaction.atomic():
        instance = lock_instance(pk)
        operation.refresh_from_db()
        if not operation.is_finished:
            fail_operation(operation, step, cause)
            give_up_move(instance, by=_BY)


def _target(operation: Operation) -> tuple[Instance, Driver]:
    """Return the instance as it will be on its target, and the target's driver. Raises Move.DoesNotExist."""
    pk = Move.objects.get(operation=operation).pk
    moved = placed(Instance.objects.select_related("server__region").get(pk=pk))
    return moved, driver_for(moved.server)


def _prepare(operation: Operation, token: UUID) -> Report:
    move = Move.objects.select_related("target__region").get(operation=operation)
    pk, target = move.pk, move.target
    # A cloud's server may still be ordered, and its ports opened.
    await_order(target)
    await_boot(target)
    await_preparation(target)
    require_claim(target, token)
    if not target.addresses:
        raise StepFailed(failures.NO_ADDRESS.of())
    driver_for(target).check()
    ensure_probe(pk)
    prepare_move(pk, by=_BY)
    return told("server-answers", server=str(target))


def _start(operation: Operation, token: UUID) -> Report:
    _bring_up_to_date(operation)
    moved, _ = _target(operation)
    return told("hub-on-server", server=str(moved.server), first=moved.port_base, last=moved.port_base + 1)


def _bring_up_to_date(operation: Operation) -> tuple[Desired, HubReport, UUID | None]:
    """Let the target's hub be as the rows say; return what it confirmed, and the target if that gave it a lease."""
    pk = operation.instance_id
    for _ in range(_ATTEMPTS):
        instance = Instance.objects.get(pk=pk)
        moved, driver = _target(operation)
        if instance.epoch >= moved.epoch:
            raise_move_epoch(pk, by=_BY)
            continue
        desired = compile_placed(pk, placed)
        try:
            report = driver.apply(desired.document, delta=False)
        except AgentError as error:
            if error.code == errors.LEASE_OVER and moved.server is not None:
                renew_lease(driver, moved.server)
                continue
            # The target had the hub before, or has it from an attempt that was cancelled.
            if error.code not in {errors.DESTROYED, errors.STALE, errors.CONFLICT}:
                raise
            raise_move_epoch(pk, by=_BY)
            continue
        if (report.epoch, report.generation, report.digest) != (desired.epoch, desired.generation, desired.digest):
            raise StepFailed(failures.OTHER_CONFIRMED.of())
        return desired, report, moved.server_id if driver.lease is not None else None
    raise Unreachable(failures.OUT_OF_STEP.of())


def _prove(operation: Operation, token: UUID) -> Report:
    moved, _ = _target(operation)
    message, _ = prove(moved, over_openvpn=bool(with_openvpn([moved.pk])))
    return message


def _switch(operation: Operation, token: UUID) -> Report:
    """Switch to the target once its hub is as the rows say; changes in between are sent before."""
    pk = operation.instance_id
    before = Instance.objects.select_related("server__region").get(pk=pk)
    if not Move.objects.filter(operation=operation).exists():
        return _switched(before)  # A killed job did.
    if may_run_without_answer(before):
        raise StepWaits
    for _ in range(_ATTEMPTS):
        desired, report, leased_on = _bring_up_to_date(operation)
        try:
            if not switch_instance(operation, token, desired, report, by=_BY):
                raise Move.DoesNotExist
        except ConcurrentChange:
            continue
        _after_switch(pk, leased_on)
        return _switched(Instance.objects.select_related("server__region").get(pk=pk))
    raise ConcurrentChange


def _after_switch(pk: UUID, leased_on: UUID | None) -> None:
    InstanceObservation.objects.note([pk], observed_at=timezone.now(), knocked_at=None, leased_on=leased_on)


def _switched(instance: Instance) -> Told:
    return told("runs-on", server=str(instance.server), region=instance.region.name)


def _hand_over(operation: Operation, token: UUID) -> Report:
    """Let the former server end its hub and forward. If it does not answer, another job asks it again and again."""
    instance = Instance.objects.select_related("server__region").get(pk=operation.instance_id)
    waiting = instance.retired_hubs.exclude(forwards_to=[]).filter(forwarding_since=None)
    retired = waiting.select_related("server__region").order_by("-retired_at").first()
    if retired is None:
        return told("nothing-to-forward")
    try:
        return hand_over(retired, instance)
    except (AgentError, Unreachable, UnsealError) as error:
        logger.warning("%s does not hand over yet: %s", retired, error)
        return told("forwards-later", why=told_cause(cause_of(error)), server=str(retired.server))


def _publish(operation: Operation, token: UUID) -> Report:
    return publish_name(operation.instance_id, token)


def _replace(operation: Operation, token: UUID) -> Report:
    """Remove the hub from its server and build it there anew. Clients are called as soon as it is back."""
    if not Move.objects.filter(operation=operation).exists():
        return told("rebuilt")  # By a job that was killed.
    moved, driver = _target(operation)
    clients = _clients_of(driver, moved)
    try:
        driver.destroy(moved.hub, epoch=moved.epoch - 1, generation=MOST_GENERATION)
    except AgentError as error:
        if error.code != errors.STALE:
            raise
        # A job that was killed had built it already.
    desired, report, leased_on = _bring_up_to_date(operation)
    driver.greet(moved.hub, Handover(endpoints=clients))
    if not switch_instance(operation, token, desired, report, by=_BY):
        raise Move.DoesNotExist
    _after_switch(moved.pk, leased_on)
    return told("rebuilt-on", server=str(moved.server))


def _clients_of(driver: Driver, instance: Instance) -> dict[str, str]:
    """Return by public key the endpoints of the hub's WireGuard clients; none if there is no hub."""
    try:
        peers = driver.status(instance.hub, peers=True).peers or {}
    except AgentError:
        return {}
    recent = timezone.now().timestamp() - _ACTIVE_SECONDS
    active = ((key, peer) for key, peer in peers.items() if peer.latest_handshake > recent)
    found = {key: peer.endpoint for key, peer in active if peer.endpoint}
    return dict(list(found.items())[:MOST_CLIENTS])


def _prove_again(operation: Operation, token: UUID) -> Report:
    pk = operation.instance_id
    instance = Instance.objects.select_related("server__region").get(pk=pk)
    message, found = prove(instance, over_openvpn=bool(with_openvpn([pk], confirmed=True)))
    record_knock(pk, found)
    return message


_STEPS: dict[str, Callable[[Operation, UUID], Report]] = {
    StepName.NEW_SERVER: _prepare,
    StepName.NEW_HUB: _start,
    StepName.NEW_PROOF: _prove,
    StepName.SWITCH: _switch,
    StepName.HAND_OVER: _hand_over,
    StepName.NAME: _publish,
    StepName.REPLACE: _replace,
    StepName.PROOF: _prove_again,
}
