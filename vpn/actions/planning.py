"""What a change means, noted when it is saved, or only asked: then the real action runs, and is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from uuid import UUID

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from vpn.models import ChangePlan, Instance, Peer
from vpn.models.querysets import PeerQuerySet
from vpn.plan.explaining import Plan, explain, together
from vpn.plan.snapshot import Snapshot, snapshot

MOST_NOTED_LINES = 200
_CHUNK = 500  # ids in one query

# Where somebody only asks: before and after of each instance that the action changes.
_asked: ContextVar[list[tuple[Snapshot, Snapshot]] | None] = ContextVar("asked", default=None)


def planned(change: Callable[[], object]) -> Plan:
    """What `change`, an action, would mean; nothing of it stays. Raises what the action raises.

    What an action means that changes several instances, as those of a site do, is told together.
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
    plan = together(explain(before, after) for before, after in found)
    plan.reconnecting = sum(rows.count() for rows in _connected(plan.told))
    return plan


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
        # From now on their pages say that they are about to begin anew; the hub's report takes it back.
        first = Coalesce("push_generation", Value(instance.desired_generation))
        plan.reconnecting = sum(rows.update(push_generation=first) for rows in _connected(plan.told))
        ChangePlan.objects.create(
            instance=instance,
            generation=instance.desired_generation,
            plan=plan.document(most_lines=MOST_NOTED_LINES),
            outdated=[str(pk) for pk in plan.outdated],
        )


def _connected(peers: list[UUID]) -> Iterator[PeerQuerySet]:
    """Those of these peers that are connected over OpenVPN, some at a time."""
    for start in range(0, len(peers), _CHUNK):
        yield Peer.objects.order_by().filter(pk__in=peers[start : start + _CHUNK], connected_from__isnull=False)
