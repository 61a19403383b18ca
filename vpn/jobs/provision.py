"""Create a hub in steps, and remove it. Every step may be repeated; a retry continues at the failed one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from portal.exceptions import Conflict, NotPossible
from portal.models import Principal
from portal.sealing import UnsealError
from vpn import doorbell, failures
from vpn.actions.change import lock_instance
from vpn.actions.instances.instance import open_operation, remove_rows, set_state
from vpn.actions.instances.placement import place_instance
from vpn.actions.instances.recovery import raise_epoch
from vpn.actions.peers.certificates import ensure_certificates
from vpn.choices import (
    InstanceState,
    Listener,
    OperationKind,
    OperationState,
    ProofCause,
    Reachability,
    StepName,
)
from vpn.constants import DEFAULT_PUBLIC_DNS, DEFAULT_PUBLIC_DNS_V6
from vpn.desired import ConcurrentChange, compile_spec
from vpn.drivers.base import AgentError, Found, Unreachable, errors
from vpn.jobs import lease
from vpn.jobs.apply import cause_of, send, server_epoch
from vpn.jobs.knock import give_probe, knock_of
from vpn.jobs.names import look_at, name_of
from vpn.jobs.progress import begin_step, fail_operation, finish_operation, finish_step, next_step
from vpn.jobs.servers import driver_for
from vpn.models import Instance, InstanceObservation, Operation, OperationStep
from vpn.models.peer import with_compat, with_openvpn
from vpn.observed import record_applied
from vpn.presenters.findings import sentence_of
from vpn.presenters.needs.listener_words import ports_of
from vpn.proofs import record_knock
from vpn.wire.finding import Finding, parse_finding

logger = logging.getLogger(__name__)
_BY = Principal.portal("creating the hub")
_ENDING = Principal.portal("taking the hub down")


class StepFailed(Exception):
    """A step failed for `cause`: a finding, or for a proof the words of the knock."""

    def __init__(self, cause: Finding | str) -> None:
        super().__init__(str(cause))
        self.cause = cause


def provision_instance(instance_id: str) -> None:
    """Create the instance's hub, from the first step that is not done."""
    pk = UUID(instance_id)
    token = lease.claim(pk)
    if token is None:
        return
    try:
        operation = _begin(pk)
        if operation is not None and _run_steps(pk, token, operation, _PROVISION_STEPS):
            _become_ready(pk, token, operation)
    finally:
        lease.release(pk, token)
    # A change that was saved meanwhile could not claim the instance.
    instance = Instance.objects.filter(pk=pk).first()
    if instance is None:
        return
    ring = doorbell.enqueue_destroy if instance.state == InstanceState.DELETING else doorbell.enqueue_apply
    ring(pk, instance.organization_id, instance.region_id)


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


def _run_steps(pk: UUID, token: UUID, operation: Operation, steps: dict[str, Callable[[UUID, UUID], str]]) -> bool:
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
        except Instance.DoesNotExist:
            return False
        finish_step(step, message)
    return True


def _goes_on(operation: Operation) -> bool:
    """Return True if the operation is still wanted. Deleting the instance cancels it."""
    return Operation.objects.filter(pk=operation.pk, state=OperationState.RUNNING).exists()


def _fail(pk: UUID, operation: Operation, step: OperationStep, cause: Finding | str) -> None:
    logger.warning("Step %s of instance %s failed: %s", step.name, pk, sentence_of(cause))
    with transaction.atomic():
        instance = lock_instance(pk)
        operation.refresh_from_db()
        if operation.is_finished:
            return  # Cancelled meanwhile by a deletion.
        fail_operation(operation, step, cause)
        if instance.state == InstanceState.PROVISIONING:
            set_state(instance, InstanceState.FAILED, by=_BY)


def _prepare_server(pk: UUID, token: UUID) -> str:
    try:
        instance = place_instance(pk, by=_BY)
    except Conflict as refusal:
        raise StepFailed(refusal.message) from refusal
    if instance.server is None:
        raise StepFailed(failures.REGION_WITHOUT_SERVER.of())
    if not instance.server.addresses:
        raise StepFailed(failures.NO_ADDRESS.of())
    if all(":" in address for address in instance.server.addresses):
        # The server cannot reach the default resolvers. Resolvers that an admin has chosen meanwhile stay.
        usual = Instance.objects.filter(pk=pk, public_dns=list(DEFAULT_PUBLIC_DNS))
        usual.update(public_dns=list(DEFAULT_PUBLIC_DNS_V6))
    driver_for(instance.server).check()
    return f"{instance.server.name} answers."


def _issue_certificates(pk: UUID, token: UUID) -> str:
    with transaction.atomic():
        instance = lock_instance(pk)
        if ensure_certificates(instance):
            instance.save()
    return "The certificate authority, the hub's certificate and its tls-crypt-v2 key are ready."


def _start_hub(pk: UUID, token: UUID) -> str:
    with transaction.atomic():
        instance = lock_instance(pk)
        give_probe(instance)
        # A new generation, because an earlier attempt had another probe or none.
        instance.desired_generation += 1
        instance.settings_generation = instance.whole_generation = instance.desired_generation
        instance.save()
    desired, report = send(pk, compile_spec(pk))
    record_applied(pk, token, desired, report)
    message = f"WireGuard listens on UDP port {instance.wireguard_port}"
    if with_openvpn([pk], confirmed=True):
        return f"{message}, OpenVPN on UDP and TCP port {instance.openvpn_port}."
    return f"{message}. OpenVPN starts with the first OpenVPN peer, on UDP and TCP port {instance.openvpn_port}."


def _publish_name(pk: UUID, token: UUID) -> str:
    """Publish the hub's name. If that fails the hub works all the same, and the scheduled job tries again."""
    instance = Instance.objects.select_related("server").get(pk=pk)
    row = name_of(instance)
    if row is None:
        return ""
    look_at(row)
    row.refresh_from_db()
    if row.finding is not None:
        words = sentence_of(parse_finding(row.finding))
        return f"{words} The portal tries again by itself; until the name resolves, profiles carry the hub's address."
    return f"{row.name} resolves to {' and '.join(row.resolved)}."


def _prove(pk: UUID, token: UUID) -> str:
    instance = Instance.objects.select_related("server__region").get(pk=pk)
    addresses = instance.server.addresses if instance.server is not None else ()
    if not addresses or not instance.probe_private_key_sealed:
        raise StepFailed(failures.NOT_STARTED.of())
    over_openvpn, has_compat = bool(with_openvpn([pk], confirmed=True)), bool(with_compat([pk]))
    has_resolver = instance.peers.exclude(applied_digest="").exists()
    knocks = [
        knock_of(instance, address, over_openvpn=over_openvpn, has_compat=has_compat, with_name=has_resolver)
        for address in addresses
    ]
    found = driver_for(instance.server).knock(knocks, _PROOF_SECONDS)
    # Most devices use the first address, so a fault of the other one does not stop provisioning.
    first = found[0][Listener.WIREGUARD]
    spoken = _spoken(instance, addresses[0])
    closed = [listener for listener, one in found[0].items() if one.cause == ProofCause.CLOSED]
    if closed:
        raise StepFailed(
            f"{ports_of(instance, closed)} at {addresses[0]} did not answer the portal. Open these ports in the "
            "firewall of the server and of its provider, then try again."
        )
    if first.cause == ProofCause.SILENT or first.reason:
        raise StepFailed(f"{spoken} is not proven: {first.reason}")
    record_knock(pk, dict(zip(addresses, found, strict=True)))
    proof = "A handshake, a ping and a DNS query for its name" if has_resolver else "A handshake and a ping"
    message = f"{proof} through {spoken} were answered{_WHENCE[first.cause]}."
    for address, others in zip(addresses[1:], found[1:], strict=True):
        message += _of_another(_spoken(instance, address), others[Listener.WIREGUARD])
    if not has_resolver:
        message += " The resolver starts with the first peer."
    return message


def _of_another(spoken: str, found: Found) -> str:
    if found.state == Reachability.PROVEN and not found.reason:
        return f" So were those through {spoken}."
    return f" {spoken} is not proven: {found.reason or ProofCause(found.cause).label + '.'}"


def _spoken(instance: Instance, address: str) -> str:
    return f"{address} port {instance.wireguard_port}"


# Long enough for a hub that has just started; four rounds fit in a job's time limit.
_PROOF_SECONDS = 5.0
# A running hub is ready even if tests from outside were not possible. Pages show this until a device connects.
_WHENCE = {
    "": "",
    ProofCause.FIREWALL: " on the server itself; a firewall on the server drops packets from outside",
    ProofCause.NAT: " at the server's own address; the first device will prove that the router forwards packets",
    ProofCause.NO_RIGHT: " on the server itself; the first device will prove that packets from outside arrive",
}


_PROVISION_STEPS: dict[str, Callable[[UUID, UUID], str]] = {
    StepName.SERVER: _prepare_server,
    StepName.CERTIFICATES: _issue_certificates,
    StepName.HUB: _start_hub,
    StepName.NAME: _publish_name,
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
    token = lease.claim(pk)
    if token is None:
        return
    try:
        instance = Instance.objects.filter(pk=pk, state=InstanceState.DELETING).first()
        operation = open_operation(instance, OperationKind.DESTROY) if instance is not None else None
        if operation is not None and _run_steps(pk, token, operation, {StepName.TEARDOWN: _tear_down}):
            with transaction.atomic():
                remove_rows(lock_instance(pk), by=_ENDING)
    finally:
        lease.release(pk, token)


def _tear_down(pk: UUID, token: UUID) -> str:
    instance = Instance.objects.select_related("server__region").get(pk=pk)
    if instance.server is None:
        return "It had no server yet."
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
    return "Interfaces, namespace and keys are gone from the server."


def _destroy(instance: Instance) -> None:
    driver_for(instance.server).destroy(instance.hub, epoch=instance.epoch, generation=instance.desired_generation)
