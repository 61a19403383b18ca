"""Large plans in a web thread: one at a time per organization, because all tenants share the threads."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from vpn.actions.activity.planning import (
    FEW_RULES,
    FEW_STEPS,
    ChangePreview,
    compute_plan,
    compute_small_plan,
    is_large,
)
from vpn.models import Instance
from vpn.plan.delta import Delta
from vpn.plan.explaining import MOST_STEPS, Plan
from vpn.revisions.rows import difference
from vpn.revisions.sections import Document

# The organizations for which this process is computing a large plan, which takes seconds of processor time.
_at_work: Final[set[UUID]] = set()
_lock: Final = threading.Lock()


class PlanBusy(Exception):
    """Another large plan of the organization is being worked out in this process."""


def compute_in_turn(found: Sequence[ChangePreview]) -> Plan:
    """Compute a plan as `answer` does; a small one without waiting for a turn. Raises PlanBusy too."""
    plan = compute_small_plan(found)
    if plan is not None:
        return plan
    with _one_at_a_time({one.instance_id for one in found}):
        return compute_plan(found)


def compare_in_turn(instance_id: UUID, before: Document, after: Document, *, in_full: bool) -> Plan | None:
    """What differs between two revisions in who reaches whom.

    Without `in_full`, None where that takes long. Raises ConcurrentChange, and PlanBusy with `in_full`.
    """
    rules = len(before.rules) > FEW_RULES or len(after.rules) > FEW_RULES
    if not rules and not is_large(ChangePreview(instance_id, Delta())):
        plan = difference(instance_id, before, after, FEW_STEPS)
        if not plan.cut - {"lines"}:
            return plan
    if not in_full:
        return None
    with _one_at_a_time({instance_id}):
        return difference(instance_id, before, after, MOST_STEPS)


@contextmanager
def _one_at_a_time(instance_ids: Collection[UUID]) -> Iterator[None]:
    instances = Instance.objects.filter(pk__in=instance_ids)
    organizations = set(instances.values_list("organization_id", flat=True))
    with _lock:
        if not _at_work.isdisjoint(organizations):
            raise PlanBusy
        _at_work.update(organizations)
    try:
        yield
    finally:
        with _lock:
            _at_work.difference_update(organizations)
