"""Create a hub in steps, and remove it. Every step may be repeated; a retry continues at the failed one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.exceptions import NotPossible
from portal.models import Principal
from portal.sealing import UnsealError
from portal.told import Told, told
from vpn import doorbell, failures
from vpn.actions.change import lock_instance
from vpn.actions.instances.instance import open_operation, remove_rows, set_state
from vpn.actions.instances.recovery import raise_epoch
from vpn.actions.instances.retirement import leave_on_lost
from vpn.actions.peers.certificates import ensure_certificates
from vpn.choices import InstanceState, OperationKind, OperationState, ServerState, StepName
from vpn.constants import DEFAULT_PUBLIC_DNS, DEFAULT_PUBLIC_DNS_V6
from vpn.desired import ConcurrentChange, compile_spec
from vpn.drivers.base import AgentError, Unreachable, errors
from vpn.jobs import lease
from vpn.jobs.apply import cause_of, send, server_epoch
from vpn.jobs.at_work import at_work_on, require_claim, ring_for_next, servers_of
from vpn.jobs.knock import give_probe
from vpn.jobs.ordered import await_boot, await_order, await_preparation, ends_with_server, placed_server
from vpn.jobs.progress import Report, StepWaits, begin_step, fail_operation, finish_operation, finish_step, next_step
from vpn.jobs.proving import StepFailed, prove, publish_name
from vpn.jobs.servers import driver_for
from vpn.models import Instance, InstanceObservation, Operation, OperationStep
from vpn.models.peer import with_openvpn
from vpn.observed import record_applied
from vpn.presenters.findings import sentence_of
from vpn.proofs import record_knock
from vpn.wire.finding import Finding

logger = logging.getLogger(__name__)
_BY = Principal.portal(gettext_noop("creating the hub"))
_ENDING = Principal.portal(gettext_noop("taking the hub down"))


def provision_instance(instance_id: str) -> None:
    """Create the instance's hub, from the first step that is not done."""
    pk = UUID(instance_id)
    with at_work_on(pk) as token:
        if token is None:
            return
        operation = _begin(pk)
        if operation is not None and _run_steps(pk, token, operation, _PROVISION_STEPS):
            _become_ready(pk, token, operation)
    _ring_if_ended(pk, operation)
    # A change that was saved meanwhile could not claim the instance.
    instance = Instance.objects.filter(pk=pk).first()
    if instance is None:
        return
    ring = doorbell.enqueue_destroy if instance.state == InstanceState.DELETING else doorbell.enqueue_apply
    ring(pk, instance.organization_id, instance.region_id)


def _ring_if_ended(pk: UUID, operation: Operation | None) -> None:
    """Ring for another hub of the instance's server once its own is ready or has failed."""
    if operation is not None and not _goes_on(operation):
        ring_for_next(servers_of(pk))


def _begin(pk: UUID) -> Operation | None:
    """Return the running operation of an instance to be created; None if there is nothing to do."""
    with transaction.atomic():
        instance = lock_instance(pk)
        operation = open_operation(instance, OperationKind.PROVISION)
        if operation is None or instance.state not in {InstanceState.PENDING, InstanceState.PROVISIONING}:
            return None
        if instance.state == InstanceState.PENDING:
            set_state(instance, InstanceState.PROVISIONING, by=_BY)
    return operation


def _run_steps(pk: UUID, token: UUID, operation: Operation, steps: dict[str, Callable[[UUID, UUID], Report]]) -> bool:
    """Run the remaining steps of an operation; False if a step failed or the claim was lost."""
    while (step := next_step(operation)) is not None:
        if not lease.renew(pk, token) or not _goes_on(operation):
            return False
        begin_step(step)
        try:
            message = steps[step.name](pk, token)
        except (AgentError, Unreachable, ConcurrentChange, UnsealError, StepFailed) as error:
            _fail(pk, operation, step, error.cause if isinstance(error, StepFailed) else cause_of(error))
            return False
        except (Instance.DoesNotExist, StepWaits):
            return False
        finish_step(step, message)
    return True


def _goes_on(operation: Operation) -> bool:
    """Return True if the operation is still wanted. Deleting the instance cancels it."""
    return Operation.objects.filter(pk=operation.pk, state=OperationState.RUNNING).exists()


def _fail(pk: UUID, operation: Operation, step: OperationStep, cause: Finding | Told | str) -> None:
    logger.warning("Step %s of instance %s failed: %s", step.name, pk, sentence_of(cause))
    with transaction.atomic():
        instance = lock_instance(pk)
        operation.refresh_from_db()
        if operation.is_finished:
            return  # Cancelled meanwhile by a deletion.
        fail_operation(operation, step, cause)
        if instance.state == InstanceState.PROVISIONING:
            set_state(instance, InstanceState.FAILED, by=_BY)


def _prepare_server(pk: UUID, token: UUID) -> Report:
    server = placed_server(pk, by=_BY)
    await_preparation(server)
    require_claim(server, token)
    if not server.addresses:
        raise StepFailed(failures.NO_ADDRESS.of())
    if all(":" in address for address in server.addresses):
        # The server cannot reach the default resolvers. Resolvers that an admin has chosen meanwhile stay.
        usual = Instance.objects.filter(pk=pk, public_dns=list(DEFAULT_PUBLIC_DNS))
        usual.update(public_dns=list(DEFAULT_PUBLIC_DNS_V6))
    driver_for(server).check()
    return told("server-answers", server=server.name)


def _issue_certificates(pk: UUID, token: UUID) -> Report:
    with transaction.atomic():
        instance = lock_instance(pk)
        if ensure_certificates(instance):
            instance.save()
    return told("certificates-ready")


def _start_hub(pk: UUID, token: UUID) -> Report:
    with transaction.atomic():
        instance = lock_instance(pk)
        give_probe(instance)
        # A new generation, because an earlier attempt had another probe or none.
        instance.desired_generation += 1
        instance.settings_generation = instance.whole_generation = instance.desired_generation
        instance.save()
    desired, report = send(pk, compile_spec(pk))
    record_applied(pk, token, desired, report)
    code = "both-listen" if with_openvpn([pk], confirmed=True) else "wireguard-listens"
    return told(code, wireguard=instance.wireguard_port, openvpn=instance.openvpn_port)


def _prove(pk: UUID, token: UUID) -> Report:
    instance = Instance.objects.select_related("server__region").get(pk=pk)
    message, found = prove(instance, over_openvpn=bool(with_openvpn([pk], confirmed=True)))
    record_knock(pk, found)
    return message


_PROVISION_STEPS: dict[str, Callable[[UUID, UUID], Report]] = {
    StepName.ORDER: lambda pk, token: await_order(placed_server(pk, by=_BY)),
    StepName.BOOT: lambda pk, token: await_boot(placed_server(pk, by=_BY)),
    StepName.SERVER: _prepare_server,
    StepName.CERTIFICATES: _issue_certificates,
    StepName.HUB: _start_hub,
    StepName.NAME: publish_name,
    StepName.PROOF: _prove,
}


def _become_ready(pk: UUID, token: UUID, operation: Operation) -> None:
    """Mark the instance ready. The probe peer stays, for scheduled knocks."""
    with transaction.atomic():
        instance = lock_instance(pk)
        if instance.lease_token != token:
            return
        try:
            set_state(instance, InstanceState.READY, by=_BY)
        except NotPossible:
            return  # It is being deleted.
        instance.configured = True
        # The hub has just answered.
        InstanceObservation.objects.note([pk], observed_at=timezone.now(), knocked_at=timezone.now())
        instance.save()
        finish_operation(operation)


def destroy_instance(instance_id: str) -> None:
    """Remove the hub, and its rows once the server has confirmed it."""
    pk = UUID(instance_id)
    servers = servers_of(pk)
    with at_work_on(pk) as token:
        if token is None:
            return
        instance = Instance.objects.filter(pk=pk, state=InstanceState.DELETING).first()
        operation = open_operation(instance, OperationKind.DESTROY) if instance is not None else None
        if operation is not None and _run_steps(pk, token, operation, {StepName.TEARDOWN: _tear_down}):
            with transaction.atomic():
                remove_rows(lock_instance(pk), by=_ENDING)
    if operation is not None and not _goes_on(operation):
        ring_for_next(servers)


def _tear_down(pk: UUID, token: UUID) -> Report:
    instance = Instance.objects.select_related("server__region").get(pk=pk)
    if instance.server is None:
        return told("no-server")
    if message := ends_with_server(instance.server):
        return message
    if instance.server.state == ServerState.LOST:
        leave_on_lost(pk, by=_ENDING)
        return told("left-on-lost", server=instance.server.name)
    if instance.server.state == ServerState.COMPROMISED:
        return told("left-on-compromised", server=instance.server.name)
    Instance.objects.filter(pk=pk).update(retry_at=timezone.now())
    try:
        _destroy(instance)
    except AgentError as error:
        if error.code != errors.STALE:
            raise
        # The database was restored from a backup: the server has a newer generation of this hub.
        raise_epoch(pk, above=server_epoch(instance), by=_ENDING)
        instance.refresh_from_db(fields=["epoch"])
        _destroy(instance)
    return told("hub-gone")


def _destroy(instance: Instance) -> None:
    driver_for(instance.server).destroy(instance.hub, epoch=instance.epoch, generation=instance.desired_generation)
