"""Moving an instance to another region, and building its hub anew: begin, cancel, switch, give up.

Make before break: until `switch_instance`, the instance stays where it is, and all of it can be cancelled.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.actions.quota import lock_organization
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Principal
from portal.told import told
from vpn import doorbell, failures
from vpn.actions.activity.operation import begin_operation, cancel_operations
from vpn.actions.change import lock_instance
from vpn.actions.instances.instance import set_state
from vpn.actions.instances.retirement import forward_from, give_up_move, redirect_forwarding
from vpn.actions.instances.targets import Target, other_server, same_server, target_in
from vpn.actions.instances.trial import refuse_during_trial
from vpn.actions.peers.certificates import issue_hub, shown_hosts
from vpn.choices import REBUILD_IN_PLACE, InstanceState, OperationKind, OperationState, ServerState, StepName, StepState
from vpn.connections.ending import end_moved
from vpn.desired import ConcurrentChange, Desired
from vpn.models import Instance, Move, Operation, OperationStep, PublicName, Region, Server
from vpn.observed import record_applied
from vpn.proofs import forget_proofs
from vpn.wire.report import HubReport

MOVES: Final = (OperationKind.MOVE, OperationKind.REBUILD)
MOVABLE: Final = (InstanceState.READY, InstanceState.LOST)


def move_instance(instance: Instance, region: Region, *, by: Principal) -> Instance:
    """Begin to move an instance to another region. Raises InvalidInput, Conflict or NotPossible."""
    if region.pk == instance.region_id:
        raise InvalidInput.in_field(
            "region", _("It runs in %(region)s already. To get another server, rebuild it.") % {"region": region.name}
        )
    if closed := region.why_closed:
        raise InvalidInput.in_field("region", closed)
    with transaction.atomic():
        _lock_servers(region)
        locked = _lock_movable(instance.pk)
        with one_act(by, "move begun", locked) as act:
            act.operation = _begin(locked, target_in(locked, region, by=by), OperationKind.MOVE, by)
            act.details["region"] = region.name
    return locked


def rebuild_instance(
    instance: Instance, *, by: Principal, in_place: bool = True, during_trial: bool = False
) -> Instance:
    """Begin to build an instance's hub anew, on another server of its region if one has room.

    Without one, and if `in_place`, on the same server. `during_trial`: even if a change is on trial, which the new hub
    begins anew. Raises Conflict or NotPossible.
    """
    with transaction.atomic():
        _lock_servers(instance.region)
        locked = _lock_movable(instance.pk, during_trial=during_trial)
        target = other_server(locked, locked.region) or (same_server(locked) if in_place else None)
        with one_act(by, "rebuild begun", locked) as act:
            act.operation = _begin(locked, target or target_in(locked, locked.region, by=by), OperationKind.REBUILD, by)
    return locked


def cancel_move(instance: Instance, *, by: Principal) -> Instance:
    """Cancel a move or a rebuild. Raises NotPossible where none is under way, or the hub has switched already."""
    with transaction.atomic():
        locked = lock_instance(instance.pk)
        if is_replacing(locked):
            raise NotPossible(
                _("The hub is being replaced on its server. That goes on by itself and cannot be cancelled.")
            )
        if not give_up_move(locked, by=by):
            if locked.operations.filter(kind__in=MOVES, state=OperationState.RUNNING).exists():
                raise NotPossible(_("The hub has switched already; what is left goes on by itself."))
            raise NotPossible(_("This instance is not being moved or rebuilt."))
        with one_act(by, "move cancelled", locked):
            cancel_operations(locked.operations.filter(kind__in=MOVES), failures.MOVE_CANCELLED.of(), by=by)
    return locked


def is_replacing(instance: Instance) -> bool:
    """Return True once a rebuild in place has begun to remove the hub."""
    steps = OperationStep.objects.filter(name=StepName.REPLACE, state=StepState.RUNNING)
    return steps.filter(operation__move__instance=instance).exists()


def raise_move_epoch(pk: UUID, *, by: Principal) -> None:
    """Begin a newer epoch of a moving hub: the target knows one that is as new."""
    with transaction.atomic():
        instance = lock_instance(pk)
        move = Move.objects.filter(instance=instance).first()
        if move is not None:
            move.epoch = instance.moved_epoch = _next_epoch(instance)
            move.save(update_fields=["epoch"])
            instance.save(update_fields=["moved_epoch"])
            acted(by, "epoch raised", instance)


def placed(instance: Instance) -> Instance:
    """A copy of a moving instance as it will be on its target; not to be saved. Raises Move.DoesNotExist."""
    move = Move.objects.select_related("target__region").get(instance=instance.pk)
    moved = copy.copy(instance)
    moved.server, moved.region = move.target, move.target.region
    moved.port_base, moved.epoch = move.port_base, move.epoch
    moved.earlier_addresses = _earlier(instance, move.target)
    if move.server_certificate:
        moved.server_certificate, moved.server_key = move.server_certificate, move.server_key
        moved.certificate_hosts = move.certificate_hosts
    return moved


def prepare_move(pk: UUID, *, by: Principal) -> None:
    """Issue the hub's certificate for its addresses on both servers, once. Raises Move.DoesNotExist, UnsealError."""
    with transaction.atomic():
        instance = lock_instance(pk)
        move = Move.objects.select_related("target__region").get(instance=instance)
        if not instance.has_certificates or move.server_certificate:
            return
        moved = placed(instance)
        if moved.certificate_hosts != shown_hosts(moved):
            issue_hub(moved)
            move.server_certificate, move.server_key = moved.server_certificate, moved.server_key
            move.certificate_hosts = moved.certificate_hosts
            move.save(update_fields=["server_certificate", "server_key_sealed", "certificate_hosts"])
            acted(by, "certificate issued", instance)


def switch_instance(operation: Operation, token: UUID, desired: Desired, report: HubReport, *, by: Principal) -> bool:
    """Let the instance run on its target, which confirmed `desired`; all rows change together.

    False if the operation was cancelled, even if another move has begun since, or the claim was lost. Raises
    ConcurrentChange if the target lags behind.
    """
    pk = operation.instance_id
    with transaction.atomic():
        instance = lock_instance(pk)
        move = Move.objects.select_related("target__region").filter(instance=instance, operation=operation).first()
        if move is None or instance.lease_token != token or instance.state not in MOVABLE:
            return False
        sent = (desired.generation, desired.epoch)
        if (instance.desired_generation, move.epoch) != sent or instance.epoch >= move.epoch:
            raise ConcurrentChange
        acted(by, "switched", instance)
        _take_place(instance, move, by)
        move.delete()
        record_applied(pk, token, desired, report)
        forget_proofs(pk)
        PublicName.objects.look_soon(instance)
        transaction.on_commit(partial(end_moved, pk), robust=True)
        if instance.state == InstanceState.LOST:
            set_state(instance, InstanceState.READY, by=by)
    return True


def _take_place(instance: Instance, move: Move, by: Principal) -> None:
    """Write the target into a locked instance, and retire its hub on the former server."""
    moved, former, former_port = placed(instance), instance.server, instance.port_base
    fields = ["server", "region", "port_base", "epoch", "earlier_addresses"]
    if move.server_certificate:
        fields += ["server_certificate", "server_key_sealed", "certificate_hosts"]
    for name in fields:
        setattr(instance, name, getattr(moved, name))
    instance.failure, instance.refusal, instance.retry_at = "", None, None
    instance.save(update_fields=[*fields, "failure", "refusal", "retry_at"])
    if former is not None and former.state == ServerState.COMPROMISED:
        redirect_forwarding(instance, by=by)
    elif former is not None and former.pk != move.target_id:
        forward_from(former, instance, former_port, epoch=move.epoch - 1, by=by)


def lock_places(instance: Instance) -> None:
    """Lock all that a move may lock before its instance, for a caller that locks the instance first."""
    lock_organization(instance.organization_id)
    list(Server.objects.select_for_update(no_key=True).order_by("pk"))


def _lock_servers(region: Region) -> None:
    """Lock servers before instances, as every action does, so that no two can deadlock."""
    list(Server.objects.select_for_update(no_key=True).filter(region=region).order_by("pk"))


def _lock_movable(pk: UUID, *, during_trial: bool = False) -> Instance:
    locked = lock_instance(pk)
    check_movable(locked, during_trial=during_trial)
    return locked


def check_movable(instance: Instance, *, during_trial: bool = False) -> None:
    """Raise Conflict if a move or a rebuild is under way, NotPossible if the instance's state allows none."""
    if (
        Move.objects.filter(instance=instance).exists()
        or instance.operations.filter(kind__in=MOVES, state=OperationState.RUNNING).exists()
    ):
        raise Conflict(
            _("This instance is being moved or rebuilt already."), code="move-under-way", told=told("move-under-way")
        )
    if instance.state not in MOVABLE or instance.server is None:
        state = instance.get_state_display().lower()
        raise NotPossible(
            _("An instance that is %(state)s cannot be moved or rebuilt. Wait until it is ready.") % {"state": state},
            told=told("not-movable", state=instance.state),
        )
    if instance.state == InstanceState.READY and not during_trial:
        # On a new server, a trial would begin anew. A lost hub is rebuilt even so.
        refuse_during_trial(instance)


def _begin(instance: Instance, target: Target, kind: OperationKind, by: Principal) -> UUID:
    in_place = target.server.pk == instance.server_id
    steps = REBUILD_IN_PLACE if in_place else None
    operation = begin_operation(instance, kind, by=by, steps=steps, target=target.server)
    # What is still to be removed there gives way to the new hub.
    instance.retired_hubs.filter(server=target.server, forwards_to=[]).delete()
    instance.moved_epoch = _next_epoch(instance)
    instance.save(update_fields=["moved_epoch"])
    Move.objects.create(
        instance=instance,
        operation=operation,
        target=target.server,
        port_base=target.port_base,
        epoch=instance.moved_epoch,
    )
    transaction.on_commit(partial(doorbell.enqueue_move, instance.pk, instance.organization_id))
    return operation.pk


def _next_epoch(instance: Instance) -> int:
    # The former server is to refuse all below it: see switch_instance.
    return max(instance.epoch, instance.moved_epoch) + 1


def _earlier(instance: Instance, target: Server) -> list[str]:
    """The addresses of the former servers, which forward to the target. One that was compromised forwards nothing."""
    server = instance.server
    before = server.addresses if server is not None and server.state != ServerState.COMPROMISED else ()
    return [
        address for address in dict.fromkeys((*before, *instance.earlier_addresses)) if address not in target.addresses
    ]
