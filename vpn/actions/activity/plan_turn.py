"""Large plans in a web thread: one at a time per organization, because all tenants share the threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from vpn.actions.activity.planning import ChangePreview, compute_plan, compute_small_plan
from vpn.models import Instance
from vpn.plan.explaining import Plan

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
    with _one_at_a_time(found):
        return compute_plan(found)


@contextmanager
def _one_at_a_time(found: Sequence[ChangePreview]) -> Iterator[None]:
    instances = Instance.objects.filter(pk__in={one.instance_id for one in found})
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
