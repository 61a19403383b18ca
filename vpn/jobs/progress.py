"""Progress of an operation: which step runs, succeeded, or failed and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.actions.acting import acted
from portal.models import JournalEntry, Principal
from portal.told import Told, joined_words, told
from vpn.actions.activity.asking import add_askers
from vpn.choices import OperationState, StepState
from vpn.models import Operation, OperationStep
from vpn.presenters.findings import sentence_of
from vpn.wire.finding import Finding

# What a step reports: a sentence or several, or nothing.
Report = Told | list[Told] | None

_MESSAGE_LENGTH = 400
_BY = Principal.portal(gettext_noop("carrying out what was requested"))


class StepWaits(Exception):
    """A step waits for something that another job does. The next look continues with it."""


def next_step(operation: Operation) -> OperationStep | None:
    """The first step that has not succeeded."""
    return operation.steps.exclude(state=StepState.SUCCEEDED).order_by("position").first()


def begin_step(step: OperationStep) -> None:
    """Record that the step runs. A step that is tried again keeps its first start time."""
    step.state, step.message, step.refusal, step.finished_at = StepState.RUNNING, "", None, None
    step.told = None
    step.started_at = step.started_at or timezone.now()
    step.save()


def finish_step(step: OperationStep, report: Report = None) -> None:
    """Record that the step succeeded, with what it reports.

    Pages put that into words. `message` holds them in English, for programs of the release before.
    """
    message = joined_words(report)[:_MESSAGE_LENGTH] if report else ""
    step.state, step.message, step.finished_at = StepState.SUCCEEDED, message, timezone.now()
    step.told, step.refusal = report or None, None
    step.save()


def finish_operation(operation: Operation) -> None:
    """Record that every step succeeded."""
    with transaction.atomic():
        operation.state, operation.finished_at = OperationState.SUCCEEDED, timezone.now()
        operation.save(update_fields=["state", "finished_at"])
        _journal(operation, "succeeded")


def fail_operation(operation: Operation, step: OperationStep, cause: Finding | Told | str) -> None:
    """Note that a step failed, and the operation with it.

    Pages put a finding into words. `message` holds them in English, for programs of the release before.
    """
    with transaction.atomic():
        message = sentence_of(cause)[:_MESSAGE_LENGTH]
        step.state, step.message, step.finished_at = StepState.FAILED, message, timezone.now()
        step.refusal = cause.document() if isinstance(cause, Finding) else None
        step.told = cause if isinstance(cause, dict) else None
        step.save()
        operation.state, operation.finished_at = OperationState.FAILED, timezone.now()
        operation.save(update_fields=["state", "finished_at"])
        # It is tried again and again: one line is enough.
        if not JournalEntry.objects.filter(
            organization_id=operation.instance.organization_id, object_id=str(operation.pk), code="operation.failed"
        ).exists():
            _journal(operation, "failed", step=step.name, message=told_cause(cause))


def told_cause(cause: Finding | Told | str) -> Told | str:
    """A cause as rows keep it."""
    return told("finding", finding=cause.document()) if isinstance(cause, Finding) else cause


def reopen_operation(operation: Operation, summary: Sequence[Told], askers: Sequence[Principal]) -> None:
    """Reopen a failed operation, with its current changes."""
    operation.state, operation.finished_at = OperationState.RUNNING, None
    if summary and not operation.undone:  # an undone change keeps its summary
        operation.summarize(summary)
    add_askers(operation, askers)
    operation.save(update_fields=["state", "finished_at", "summary", "told", "asked_by"])


def _journal(operation: Operation, did: str, **details: Any) -> None:
    """The journal's line on how an operation ended."""
    asked_by = [str(Principal.from_document(one)) for one in operation.asked_by]
    summary = told("summary", parts=operation.told) if operation.told else operation.summary
    found = {"kind": operation.kind, "summary": summary, "asked_by": asked_by, **details}
    acted(_BY, did, operation, details=found, operation=operation.pk)
