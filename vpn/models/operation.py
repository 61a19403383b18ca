"""Runs of background work, which users follow on pages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final

from django.db import models
from django.db.models import Q

from portal.told import Told, in_words
from vpn.choices import OperationKind, OperationState, StepName, StepState
from vpn.failures import CANCELLATIONS
from vpn.models.instance import Instance
from vpn.wire.finding import Finding, parse_finding

SUMMARY_LENGTH: Final = 200


def listed_parts(parts: Sequence[Told] | None) -> str:
    """The parts of a summary in words."""
    return "; ".join(map(in_words, parts or ()))


class OperationQuerySet(models.QuerySet["Operation"]):
    """Operations."""

    def undoing(self) -> OperationQuerySet:
        """The operations that undo drift on the server."""
        return self.filter(~Q(drift=[]) | Q(findings__isnull=False))


class Operation(models.Model):
    """One run of background work on an instance."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="operations")
    kind = models.CharField(max_length=10, choices=OperationKind.choices)
    state = models.CharField(max_length=10, choices=OperationState.choices, default=OperationState.RUNNING)
    summary = models.CharField(max_length=SUMMARY_LENGTH, blank=True)
    # The same as sentences that pages put into words (vpn.told); null in older rows.
    told = models.JSONField(null=True, blank=True)
    # The drift that this run undoes, as sentences: in older rows, and from agents of the release before.
    drift = models.JSONField(default=list, blank=True)
    # The same as findings (`vpn.wire.finding`); null if it undoes nothing.
    findings = models.JSONField(null=True, blank=True)
    # Who requested it, as documents of Principal, so that the name of a deleted account stays.
    asked_by = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expected_seconds = models.PositiveIntegerField(default=600)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["instance", "kind"], condition=Q(state="running"), name="operation_runs_once"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["started_at"], name="operation_age")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.get_state_display()})"

    def summarize(self, parts: Sequence[Told]) -> None:
        """Note what it carries; the caller saves."""
        self.told = list(parts) or None
        line = listed_parts(self.told)
        self.summary = line if len(line) <= SUMMARY_LENGTH else f"{line[: SUMMARY_LENGTH - 1]}…"

    @property
    def undone(self) -> list[Finding | str]:
        """The drift that this run undoes."""
        return [*self.drift, *map(parse_finding, self.findings or ())]

    @property
    def is_finished(self) -> bool:
        """Has the run ended?"""
        return self.state != OperationState.RUNNING

    @property
    def is_cancelled(self) -> bool:
        """Was it ended before it was done, without a fault? Programs know it as failed."""
        failed = [step for step in self.steps.all() if step.state == StepState.FAILED]
        return self.state == OperationState.FAILED and all(step.is_cancelled for step in failed)

    @property
    def eta(self) -> datetime | None:
        """When a running operation is expected to end."""
        return None if self.is_finished else self.started_at + timedelta(seconds=self.expected_seconds)


class OperationStep(models.Model):
    """One step of an operation."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=20, choices=StepName.choices)
    state = models.CharField(max_length=10, choices=StepState.choices, default=StepState.WAITING)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    message = models.CharField(max_length=400, blank=True)
    # What it reports, as sentences that pages put into words (vpn.told); null in older rows.
    told = models.JSONField(null=True, blank=True)
    # Why it failed, as a finding of the agent or of `vpn.failures`, which pages put into words; null in older rows.
    # `message` says the same in English, for programs of the release before.
    refusal = models.JSONField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operation", "position"], name="operation_step_position_unique")
        ]

    def __str__(self) -> str:
        return f"{self.get_name_display()} ({self.get_state_display()})"

    @property
    def is_cancelled(self) -> bool:
        """Did it end because its operation was cancelled?"""
        is_told = self.state == StepState.FAILED and self.refusal is not None
        return is_told and parse_finding(self.refusal) in CANCELLATIONS
