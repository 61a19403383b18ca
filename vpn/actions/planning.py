"""What a change means, noted when it is saved, or only asked: then the real action runs, and is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from django.db import transaction

from vpn.models import ChangePlan, Instance
from vpn.plan.explaining import Plan, explain
from vpn.plan.snapshot import Snapshot, snapshot

MOST_NOTED_LINES = 200

# Where somebody only asks: before and after of each instance that the action changes.
_asked: ContextVar[list[tuple[Snapshot, Snapshot]] | None] = ContextVar("asked", default=None)


def planned(change: Callable[[], object]) -> Plan:
    """What `change`, an action, would mean; nothing of it stays. Raises what the action raises.

    An action that changes several instances is explained for the first of them.
    """
    found: list[tuple[Snapshot, Snapshot]] = []
    token = _asked.set(found)
    try:
        with transaction.atomic():
            change()
            transaction.set_rollback(True)
    finally:
        _asked.reset(token)
    # Outside of the transaction, so that nobody waits for the comparison.
    return explain(*found[0]) if found else Plan()


def is_asked() -> bool:
    """Does somebody ask what the change under way would mean?"""
    return _asked.get() is not None


def note(instance: Instance, before: Snapshot) -> None:
    """Note what the change of a locked instance means, or answer who asks."""
    asked = _asked.get()
    after = snapshot(instance)
    if asked is not None:
        asked.append((before, after))
    elif instance.configured:
        plan = explain(before, after)
        ChangePlan.objects.create(
            instance=instance,
            generation=instance.desired_generation,
            plan=plan.document(most_lines=MOST_NOTED_LINES),
            outdated=[str(pk) for pk in plan.outdated],
        )
