"""Operations: rows that show users the progress of background work."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from django.conf import settings
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Principal
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
from vpn.models import Instance, Operation, OperationStep

# Of so many recent runs the median is expected.
_PAST_RUNS = 20


def begin_operation(
    instance: Instance,
    kind: OperationKind,
    summary: str = "",
    *,
    by: Principal,
    askers: Sequence[Principal] | None = None,
    steps: Sequence[str] | None = None,
) -> Operation:
    """Create an operation with its steps, all waiting. Must run in the transaction that locks the instance.

    `askers` are who asked for it, where that is not who begins it; `steps` are others than the usual ones of its kind.
    """
    operation = Operation.objects.create(
        instance=instance,
        kind=kind,
        summary=summary,
        asked_by=[one.document() for one in (askers if askers is not None else [by])],
        expected_seconds=expected_seconds(instance, kind),
    )
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


def _steps_of(instance: Instance, kind: OperationKind) -> list[str]:
    """The steps of a kind. Without a publisher, none publishes the hub's name; a ready server is not ordered."""
    left_out: set[str] = set() if settings.DNS_PUBLISHER is not None else {StepName.NAME}
    if kind != OperationKind.PROVISION or not _waits_for_server(instance):
        left_out |= {StepName.ORDER, StepName.BOOT}
    return [name for name in OPERATION_STEPS[kind] if name not in left_out]


def _waits_for_server(instance: Instance) -> bool:
    """Does the instance need a server that a cloud has not made ready yet?"""
    if instance.region.driver != Driver.CLOUD:
        return False
    return instance.server is None or instance.server.state != ServerState.READY


def expected_seconds(instance: Instance, kind: OperationKind) -> int:
    """The median duration of recent clean runs of this kind in this region; without any, the assumed one.

    A run that waits for a cloud's server is compared with such runs, and one with a ready server with the others.
    """
    if kind in {OperationKind.APPLY, OperationKind.DESTROY}:
        return assumed_seconds(kind)
    steps = OperationStep.objects.filter(operation=OuterRef("pk"))
    waited = Exists(steps.filter(name=StepName.ORDER))
    past = (
        Operation.objects.filter(
            ~Exists(steps.filter(state=StepState.FAILED)),
            # One that was resumed has only a part of its time.
            ~Exists(steps.filter(finished_at__lt=OuterRef("started_at"))),
            waited if _waits_for_server(instance) else ~waited,
            instance__region=instance.region_id,
            kind=kind,
            state=OperationState.SUCCEEDED,
        )
        .order_by("-started_at")
        .annotate(took=F("finished_at") - F("started_at"))
        .values_list("took", flat=True)[:_PAST_RUNS]
    )
    seconds = [took.total_seconds() for took in past if took is not None]
    return max(1, round(median(seconds))) if seconds else assumed_seconds(kind)


def assumed_seconds(kind: str) -> int:
    """The expected duration of a run of this kind where no past run was measured."""
    assumed = {OperationKind.PROVISION: 600, OperationKind.APPLY: 30, OperationKind.DESTROY: 30}
    return assumed.get(OperationKind(kind), 60)
