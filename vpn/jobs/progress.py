"""Moving an operation along: which step runs, ended well, or failed and why."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from portal.models import Principal
from vpn.actions.activity.asking import add_askers
from vpn.choices import OperationState, StepState
from vpn.models import Operation, OperationStep
from vpn.wire.finding import Finding

_MESSAGE_LENGTH = 400


def next_step(operation: Operation) -> OperationStep | None:
    """The first step that has not succeeded."""
    return operation.steps.exclude(state=StepState.SUCCEEDED).order_by("position").first()


def begin_step(step: OperationStep) -> None:
    """Note that the step runs; a step that is tried again keeps the time when it first began."""
    step.state, step.message, step.refusal, step.finished_at = StepState.RUNNING, "", None, None
    step.started_at = step.started_at or timezone.now()
    step.save()


def finish_step(step: OperationStep, message: str = "") -> None:
    """Note that the step ended well."""
    step.state, step.message, step.finished_at = StepState.SUCCEEDED, message[:_MESSAGE_LENGTH], timezone.now()
    step.refusal = None
    step.save()


def finish_operation(operation: Operation) -> None:
    """Note that every step ended well."""
    operation.state, operation.finished_at = OperationState.SUCCEEDED, timezone.now()
    operation.save(update_fields=["state", "finished_at"])


def fail_operation(operation: Operation, step: OperationStep, message: str, refusal: Finding | None = None) -> None:
    """Note that a step failed, in words for an admin, and the operation with it. `refusal` is why the agent refused."""
    with transaction.atomic():
        step.state, step.message, step.finished_at = StepState.FAILED, message[:_MESSAGE_LENGTH], timezone.now()
        step.refusal = refusal.document() if refusal is not None else None
        step.save()
        operation.state, operation.finished_at = OperationState.FAILED, timezone.now()
        operation.save(update_fields=["state", "finished_at"])


def reopen_operation(operation: Operation, summary: str, askers: Sequence[Principal]) -> None:
    """Let a failed operation go on, with what it carries by now."""
    operation.state, operation.finished_at = OperationState.RUNNING, None
    if summary and not operation.undone:  # what is undone says so
        operation.summary = summary
    add_askers(operation, askers)
    operation.save(update_fields=["state", "finished_at", "summary", "asked_by"])
