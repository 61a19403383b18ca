"""Creating a hub step by step, and taking it down. Every step may be repeated; a retry goes on from the failed one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from portal.exceptions import NotPossible
from portal.sealing import UnsealError
from vpn import keys
from vpn.actions import lease
from vpn.actions.certificates import ensure_certificates
from vpn.actions.change import lock_instance
from vpn.actions.instance import open_operation, remove_rows, set_state
from vpn.actions.progress import begin_step, fail_operation, finish_operation, finish_step, next_step
from vpn.actions.recovery import raise_epoch
from vpn.addressing import HUB_HOST, probe_host
from vpn.choices import InstanceState, OperationKind, OperationState, StepName
from vpn.constants import DEFAULT_PUBLIC_DNS, DEFAULT_PUBLIC_DNS_V6
from vpn.desired import Unsettled, compile_spec
from vpn.desired.header import resolver_of
from vpn.drivers.base import AgentError, Proof, Unreachable, errors
from vpn.drivers.registry import driver_for
from vpn.jobs import queue
from vpn.jobs.apply import describe, send, server_epoch
from vpn.models import Instance, Operation, OperationStep
from vpn.observed import record_applied

logger = logging.getLogger(__name__)


class StepFailed(Exception):
    """A step did not succeed, for the reason given in words for an admin."""


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
    # What was asked for meanwhile found the instance claimed.
    if Instance.objects.filter(pk=pk, state=InstanceState.DELETING).exists():
        queue.enqueue_destroy(pk)
    else:
        queue.enqueue_apply(pk)


def _begin(pk: UUID) -> Operation | None:
    """The running operation of an instance that is to be created; None where there is nothing to do."""
    with transaction.atomic():
        instance = lock_instance(pk)
        operation = open_operation(instance, OperationKind.PROVISION)
        if operation is None or instance.state not in {InstanceState.PENDING, InstanceState.PROVISIONING}:
            return None
        if instance.state == InstanceState.PENDING:
            set_state(instance, InstanceState.PROVISIONING)
    return operation


def _run_steps(pk: UUID, token: UUID, operation: Operation, steps: dict[str, Callable[[UUID, UUID], str]]) -> bool:
    """Run what is left of an operation; False where a step failed or the claim was lost."""
    while (step := next_step(operation)) is not None:
        if not lease.renew(pk, token) or not _goes_on(operation):
            return False
        begin_step(step)
        try:
            message = steps[step.name](pk, token)
        except (AgentError, Unreachable, Unsettled, UnsealError, StepFailed) as error:
            _fail(pk, operation, step, describe(error))
            return False
        except Instance.DoesNotExist:
            return False
        finish_step(step, message)
    return True


def _goes_on(operation: Operation) -> bool:
    """Is the operation still wanted? A deletion gives up what runs."""
    return Operation.objects.filter(pk=operation.pk, state=OperationState.RUNNING).exists()


def _fail(pk: UUID, operation: Operation, step: OperationStep, message: str) -> None:
    logger.warning("Step %s of instance %s failed: %s", step.name, pk, message)
    with transaction.atomic():
        instance = lock_instance(pk)
        operation.refresh_from_db()
        if operation.is_settled:
            return  # It was given up meanwhile, for a deletion.
        fail_operation(operation, step, message)
        if instance.state == InstanceState.PROVISIONING:
            set_state(instance, InstanceState.FAILED)


def _prepare_server(pk: UUID, token: UUID) -> str:
    instance = Instance.objects.select_related("region", "server").get(pk=pk)
    if instance.server is None:
        instance.server = instance.region.servers.order_by("created_at").first()
        if instance.server is None:
            raise StepFailed(f"{instance.region.name} has no server yet. Choose another region, or ask the operator.")
        instance.save(update_fields=["server"])
    if not instance.server.addresses:
        raise StepFailed("The server has no public address. Set HUB_ADDRESS and start the portal again.")
    if all(":" in address for address in instance.server.addresses):
        # It would not reach the usual ones. What an admin has chosen meanwhile stays.
        usual = Instance.objects.filter(pk=pk, public_dns=list(DEFAULT_PUBLIC_DNS))
        usual.update(public_dns=list(DEFAULT_PUBLIC_DNS_V6))
    driver_for(instance.region.driver).check()
    return f"{instance.server.name} answers."


def _issue_certificates(pk: UUID, token: UUID) -> str:
    with transaction.atomic():
        instance = lock_instance(pk)
        if ensure_certificates(instance):
            instance.save()
    return "The authority, the hub's certificate and the key exchange's material are there."


def _start_hub(pk: UUID, token: UUID) -> str:
    with transaction.atomic():
        instance = lock_instance(pk)
        if not instance.probe_private_key_sealed:
            instance.probe_private_key = keys.generate_private_key()
            instance.probe_preshared_key = keys.generate_preshared_key()
        # A new generation: what was tried before had another probe, or none.
        instance.desired_generation += 1
        instance.settings_generation = instance.whole_generation = instance.desired_generation
        instance.save()
    desired, report = send(pk, compile_spec(pk))
    record_applied(pk, token, desired, report)
    return (
        f"WireGuard listens on UDP port {instance.wireguard_port}, OpenVPN on UDP and TCP port {instance.openvpn_port}."
    )


def _prove(pk: UUID, token: UUID) -> str:
    instance = Instance.objects.select_related("region", "server").get(pk=pk)
    addresses = instance.server.addresses if instance.server is not None else ()
    if not addresses or not instance.probe_private_key_sealed:
        raise StepFailed("The hub has to be started first. Try again.")
    first, *others = addresses
    reason = _knock(instance, first)
    if reason:
        raise StepFailed(f"{_spoken(instance, first)} is not proven: {reason}")
    # Most devices take the first address, so a fault of the other one does not keep the hub from them.
    message = f"A handshake, a ping and a question for its name through {_spoken(instance, first)} were answered."
    for address in others:
        reason = _knock(instance, address, timeout=5.0)
        spoken = _spoken(instance, address)
        message += f" {spoken} is not proven: {reason}" if reason else f" So were those through {spoken}."
    return message


def _spoken(instance: Instance, address: str) -> str:
    return f"{address} port {instance.wireguard_port}"


def _knock(instance: Instance, address: str, *, timeout: float = 10.0) -> str:
    """Prove the hub through one of its server's addresses; returns "" or why it is not proven."""
    source, _ = instance.host_addresses(probe_host(instance.network_v4))
    hub_address, _ = instance.host_addresses(HUB_HOST)
    resolver = resolver_of(instance)
    return driver_for(instance.region.driver).prove(
        Proof(
            endpoint_host=address,
            endpoint_port=instance.wireguard_port,
            hub_public_key=instance.public_key,
            private_key=instance.probe_private_key,
            preshared_key=instance.probe_preshared_key,
            source_address=str(source),
            hub_address=str(hub_address),
            timeout=timeout,
            name=resolver["domain"] if resolver else "",
            name_addresses=tuple(resolver["public_addresses"]) if resolver else (),
        )
    )


_PROVISION_STEPS: dict[str, Callable[[UUID, UUID], str]] = {
    StepName.SERVER: _prepare_server,
    StepName.CERTIFICATES: _issue_certificates,
    StepName.HUB: _start_hub,
    StepName.PROOF: _prove,
}


def _become_ready(pk: UUID, token: UUID, operation: Operation) -> None:
    """Ready; the probe has done its work and leaves with the next apply."""
    with transaction.atomic():
        instance = lock_instance(pk)
        if instance.lease_token != token:
            return
        try:
            set_state(instance, InstanceState.READY)
        except NotPossible:
            return  # It is being deleted.
        instance.configured = True
        instance.probe_private_key = instance.probe_preshared_key = ""
        instance.desired_generation += 1
        instance.settings_generation = instance.whole_generation = instance.desired_generation
        instance.save()
        finish_operation(operation)


def destroy_instance(instance_id: str) -> None:
    """Take the hub down, and remove the rows once the server has confirmed it."""
    pk = UUID(instance_id)
    token = lease.claim(pk)
    if token is None:
        return
    try:
        instance = Instance.objects.filter(pk=pk, state=InstanceState.DELETING).first()
        operation = open_operation(instance, OperationKind.DESTROY) if instance is not None else None
        if operation is not None and _run_steps(pk, token, operation, {StepName.TEARDOWN: _tear_down}):
            with transaction.atomic():
                remove_rows(lock_instance(pk))
    finally:
        lease.release(pk, token)


def _tear_down(pk: UUID, token: UUID) -> str:
    instance = Instance.objects.select_related("region").get(pk=pk)
    Instance.objects.filter(pk=pk).update(retry_at=timezone.now())
    try:
        _destroy(instance)
    except AgentError as error:
        if error.code != errors.STALE:
            raise
        # The database was restored from a backup: the server has something newer of this hub.
        raise_epoch(pk, above=server_epoch(instance))
        instance.refresh_from_db(fields=["epoch"])
        _destroy(instance)
    return "Interfaces, namespace and keys are gone from the server."


def _destroy(instance: Instance) -> None:
    driver_for(instance.region.driver).destroy(
        instance.hub, epoch=instance.epoch, generation=instance.desired_generation
    )
