"""Operations: rows that show users the progress of background work."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from django.conf import settings
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Principal
from portal.told import Told
from vpn.actions.activity.asking import add_askers
from vpn.choices import (
    OPERATION_STEPS,
    Driver,
    OperationKind,
    OperationState,
    ServerState,
    StepName,
    StepState,
)
from vpn.models import Instance, Operation, OperationStep, Server
from vpn.wire.finding import Finding

# Of so many recent runs the median is expected.
_PAST_RUNS = 20
# Until a cloud's server was ordered, started and prepared, and has the hub.
_ORDERED_SECONDS = 600


def begin_operation(
    instance: Instance,
    kind: OperationKind,
    summary: Sequence[Told] = (),
    *,
    by: Principal,
    askers: Sequence[Principal] | None = None,
    steps: Sequence[str] | None = None,
    target: Server | None = None,
) -> Operation:
    """Create an operation with its steps, all waiting. Must run in the transaction that locks the instance.

    `askers` are who asked for it, where that is not who begins it; `steps` are others than the usual ones of its kind;
    `target` is the server to which the hub moves.
    """
    operation = Operation(
        instance=instance,
        kind=kind,
        asked_by=[one.document() for one in (askers if askers is not None else [by])],
        expected_seconds=expected_seconds(instance, kind, target),
    )
    operation.summarize(summary)
    operation.save(force_insert=True)
    OperationStep.objects.bulk_create(
        OperationStep(operation=operation, position=position, name=name)
        for position, name in enumerate(steps or _steps_of(instance, kind))
    )
    acted(by, "begun", operation)
    return operation


def resume_operation(operation: Operation, *, by: Principal) -> None:
    """Continue a failed operation at the step that failed. Its time counts from now on: the pause says nothing."""
    operation.state, operation.started_at, operation.finished_at = OperationState.RUNNING, timezone.now(), None
    add_askers(operation, [by])
    operation.save(update_fields=["state", "started_at", "finished_at", "asked_by"])
    operation.steps.exclude(state=StepState.SUCCEEDED).update(started_at=None)
    acted(by, "resumed", operation)


def cancel_operations(operations: QuerySet[Operation], cause: Finding, *, by: Principal) -> None:
    """End running operations because of `cause`. Programs know them as failed, and pages say that they are cancelled.

    Must run in the transaction that locks the instance.
    """
    ended = {"finished_at": timezone.now()}
    for operation in operations.filter(state=OperationState.RUNNING):
        Operation.objects.filter(pk=operation.pk).update(state=OperationState.FAILED, **ended)
        step = operation.steps.exclude(state=StepState.SUCCEEDED).order_by("position").first()
        if step is not None:
            told = {"message": "Cancelled.", "refusal": cause.document()}
            OperationStep.objects.filter(pk=step.pk).update(state=StepState.FAILED, **told, **ended)
        acted(by, "cancelled", operation)


def _steps_of(instance: Instance, kind: OperationKind) -> list[str]:
    """The steps of a kind. Without a publisher, none publishes the hub's name; a ready server is not ordered."""
    left_out: set[str] = set() if settings.DNS_PUBLISHER is not None else {StepName.NAME}
    if kind != OperationKind.PROVISION or not _waits_for_server(instance):
        left_out |= {StepName.ORDER, StepName.BOOT}
    return [name for name in OPERATION_STEPS[kind] if name not in left_out]


def _waits_for_server(instance: Instance, target: Server | None = None) -> bool:
    """Does the instance, or its move to a target, need a server that a cloud has not made ready yet?"""
    server, region = (instance.server, instance.region) if target is None else (target, target.region)
    if region.driver != Driver.CLOUD:
        return False
    return server is None or server.state != ServerState.READY


def expected_seconds(instance: Instance, kind: OperationKind, target: Server | None = None) -> int:
    """The median duration of recent clean runs of this kind in this region; without any, the assumed one.

    A run that waits for a cloud's server is compared with such runs, and one with a ready server with the others. A
    move to a server that is ordered takes as long as an instance that is created on one.
    """
    if kind in {OperationKind.APPLY, OperationKind.DESTROY}:
        return assumed_seconds(kind)
    waits = _waits_for_server(instance, target)
    region = instance.region_id if target is None else target.region_id
    past = _past_runs(region, OperationKind.PROVISION if waits else kind, waited=waits)
    return max(1, round(median(past))) if past else assumed_seconds(kind, waits=waits)


def _past_runs(region_id: str, kind: OperationKind, *, waited: bool) -> list[float]:
    """The durations in seconds of recent clean runs in a region, that did or did not wait for a cloud's server."""
    steps = OperationStep.objects.filter(operation=OuterRef("pk"))
    ordered = Exists(steps.filter(name=StepName.ORDER))
    past = (
        Operation.objects.filter(
            ~Exists(steps.filter(state=StepState.FAILED)),
            # One that was resumed has only a part of its time.
            ~Exists(steps.filter(finished_at__lt=OuterRef("started_at"))),
            ordered if waited else ~ordered,
            instance__region=region_id,
            kind=kind,
            state=OperationState.SUCCEEDED,
        )
        .order_by("-started_at")
        .annotate(took=F("finished_at") - F("started_at"))
        .values_list("took", flat=True)[:_PAST_RUNS]
    )
    return [took.total_seconds() for took in past if took is not None]


def assumed_seconds(kind: str, *, waits: bool = False) -> int:
    """The expected duration of a run of this kind where no past run was measured.

    `waits` says that a server has to be ordered first: clouds take some minutes to start and prepare one.
    """
    assumed = {OperationKind.PROVISION: 600, OperationKind.APPLY: 30, OperationKind.DESTROY: 30}
    seconds = assumed.get(OperationKind(kind), 60)
    return max(seconds, _ORDERED_SECONDS) if waits else seconds


def was_assumed(operation: Operation) -> bool:
    """Was the expected time of an operation assumed, rather than measured in past runs?"""
    return operation.expected_seconds in {assumed_seconds(operation.kind, waits=waits) for waits in (False, True)}
