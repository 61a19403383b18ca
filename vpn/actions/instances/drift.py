"""Undo changes that another program made on a server.

Each repair is shown in Activity. Drift that comes back is undone at growing intervals.
"""

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

# Pauses after the first, second, ... time that the same change was undone within the period.
_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 40, 160, 600))
# After this many repairs within the period, every further one waits for the longest pause.
_MOST_IN_PERIOD = 20


def undo_drift(instance_id: UUID, found: Sequence[Finding | str], *, by: Principal) -> bool:
    """Apply the whole state again, in an operation that names the drift; False where this has to wait.

    A change that comes back after each repair is undone at growing intervals.
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
        operation.summarize(())  # pages name what is undone instead
        operation.save(update_fields=["asked_by", "drift", "findings", "summary", "told"])
        apply_again(instance.pk, instance.organization_id, by=by)
    return True


def _pause(same: int, all_of_them: int) -> timedelta:
    if all_of_them >= _MOST_IN_PERIOD:
        return _PAUSES[-1]
    return _PAUSES[min(same, len(_PAUSES)) - 1] if same else timedelta()
