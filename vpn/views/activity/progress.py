"""The progress of background work on an instance: steps, time so far, time left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from portal.access import get_member
from portal.exceptions import Conflict
from portal.htmx import render_page
from portal.models import Membership
from vpn.access import get_instance
from vpn.actions.activity.operation import was_assumed
from vpn.actions.instances.instance import retry_instance
from vpn.actions.instances.move import MOVES, is_replacing
from vpn.choices import InstanceState, OperationKind, OperationState, StepState
from vpn.models import Instance, Move, Operation, OperationStep
from vpn.presenters.activity.askers import askers_words
from vpn.presenters.activity.plan import ShownPlan
from vpn.presenters.findings import failure_of, operation_summary, step_message
from vpn.presenters.needs import notices_of

_UNDER_WAY = frozenset({InstanceState.PENDING, InstanceState.PROVISIONING, InstanceState.DELETING})
# The bar of a run that takes longer than expected stops at this percentage.
_LONGEST_BAR = 95


@dataclass(frozen=True)
class Progress:
    """An operation with what its page shows."""

    operation: Operation
    steps: list[OperationStep]
    summary: str = ""
    plans: Sequence[ShownPlan] = ()

    @property
    def elapsed(self) -> timedelta:
        """The time it has taken so far, or took."""
        return (self.operation.finished_at or timezone.now()) - self.operation.started_at

    @property
    def remaining(self) -> timedelta:
        """The expected time left; never negative."""
        return max(timedelta(seconds=self.operation.expected_seconds) - self.elapsed, timedelta())

    @property
    def percent(self) -> int:
        """By the clock or by the finished steps, whichever is further."""
        if self.operation.state == OperationState.SUCCEEDED:
            return 100
        by_clock = 100 * self.elapsed.total_seconds() / max(self.operation.expected_seconds, 1)
        done = sum(step.state == StepState.SUCCEEDED for step in self.steps)
        by_steps = 100 * done / max(len(self.steps), 1)
        return round(min(max(by_clock, by_steps), _LONGEST_BAR))

    @property
    def asked_by(self) -> str:
        """Who requested it, in words."""
        return askers_words(self.operation)

    @property
    def has_past(self) -> bool:
        """Was the expected time measured in past runs, rather than assumed?"""
        return not was_assumed(self.operation)

    @property
    def current_step(self) -> OperationStep | None:
        """The step that runs."""
        return next((step for step in self.steps if step.state == StepState.RUNNING), None)

    @property
    def failed_step(self) -> OperationStep | None:
        """The step that failed."""
        return next((step for step in self.steps if step.state == StepState.FAILED), None)


def progress_of(
    operation: Operation, plans: Sequence[ShownPlan] = (), names: Mapping[str, str] = MappingProxyType({})
) -> Progress:
    """An operation with its steps, and the plans of the changes that it carried.

    Each step gets the time that it has taken (`took`, None before it began) and its words (`text`). `names` are those
    of the peers that the operation's findings are about.
    """
    steps = list(operation.steps.all())
    for step in steps:
        began = step.started_at
        ended = step.finished_at or operation.finished_at or timezone.now()
        step.took = None if began is None else ended - began  # type: ignore[attr-defined]
        step.text = step_message(operation, step, names)  # type: ignore[attr-defined]
    return Progress(operation, steps, operation_summary(operation, names), plans)


@require_safe
def instance_progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The page, or for HTMX the part that changes; it stops asking once the work is finished."""
    member = get_member(request)
    instance = get_instance(member, pk)
    return render_page(request, "vpn/activity/progress.html", _context(member, instance), fragment="progress")


@require_POST
def instance_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Resume at the step that failed."""
    member = get_member(request)
    instance = get_instance(member, pk, write=True)
    try:
        instance = retry_instance(instance, by=member.principal)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    return redirect("instance" if instance.configured else "instance_progress", pk=pk)


def _context(member: Membership, instance: Instance) -> dict[str, Any]:
    is_deleting = instance.state == InstanceState.DELETING
    kinds = [OperationKind.DESTROY] if is_deleting else [OperationKind.PROVISION, *MOVES]
    operation = instance.operations.filter(kind__in=kinds).prefetch_related("steps").first()
    is_moving = operation is not None and operation.kind in MOVES
    goes_on = operation is not None and not operation.is_finished
    return {
        "instance": instance,
        "progress": None if operation is None else progress_of(operation),
        "is_running": instance.state in _UNDER_WAY or (is_moving and goes_on),
        "is_deleting": is_deleting,
        "is_moving": is_moving,
        "may_cancel": is_moving and Move.objects.filter(instance=instance).exists() and not is_replacing(instance),
        "failure": failure_of(instance),
        "needs": notices_of(instance),
        "may_change": member.is_admin,
    }
