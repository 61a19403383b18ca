"""Undo what another program changed on a server: visible in Activity, at growing intervals where it comes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from portal.models import Principal
from vpn.actions.activity.asking import add_askers
from vpn.actions.activity.operation import begin_operation
from vpn.actions.change import lock_instance
from vpn.actions.instances.instance import open_operation
from vpn.actions.instances.recovery import apply_again
from vpn.choices import OperationKind
from vpn.needs.drift import undone_lately
from vpn.wire.finding import Finding

# Pauses after the first, the second, ... time that the same thing was undone within the period.
_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 40, 160, 600))
# Beyond so many within the period a server is not believed at every word.
_MOST_IN_PERIOD = 20


def undo_drift(instance_id: UUID, found: Sequence[Finding | str], *, by: Principal) -> bool:
    """Apply the whole state again, in an operation that tells what was found; False where that has to wait.

    What is there again however often it was undone is undone at growing intervals.
    """
    with transaction.atomic():
        instance = lock_instance(instance_id)
        earlier = undone_lately([instance.pk]).get(instance.pk, [])
        same = [operation for operation in earlier if set(operation.undone) & set(found)]
        if earlier and timezone.now() < earlier[0].started_at + _pause(len(same), len(earlier)):
            return False
        operation = open_operation(instance, OperationKind.APPLY)
        if operation is None:
            operation = begin_operation(instance, OperationKind.APPLY, by=by)
        add_askers(operation, [by])
        operation.drift = [one for one in found if isinstance(one, str)]
        operation.findings = [one.document() for one in found if isinstance(one, Finding)] or None
        operation.summary = ""  # what is undone says it
        operation.save(update_fields=["asked_by", "drift", "findings", "summary"])
        apply_again(instance.pk, instance.organization_id, by=by)
    return True


def _pause(same: int, all_of_them: int) -> timedelta:
    if all_of_them >= _MOST_IN_PERIOD:
        return _PAUSES[-1]
    return _PAUSES[min(same, len(_PAUSES)) - 1] if same else timedelta()
