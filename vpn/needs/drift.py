"""Drift that comes back after each repair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone

from vpn.choices import OperationKind
from vpn.models import Operation
from vpn.wire.finding import Finding

PERIOD: Final = timedelta(hours=1)
_RECURRING: Final = 3


@dataclass(frozen=True)
class Recurring:
    """Drift that comes back after each repair, and how often it was undone within the last hour."""

    found: list[Finding | str]
    times: int


def undone_lately(instances: Collection[UUID]) -> dict[UUID, list[Operation]]:
    """By instance the runs of the last hour that undid drift, newest first; one query."""
    runs = Operation.objects.filter(
        instance__among=instances, kind=OperationKind.APPLY, started_at__gt=timezone.now() - PERIOD
    )
    found: dict[UUID, list[Operation]] = {}
    for operation in runs.undoing():
        found.setdefault(operation.instance_id, []).append(operation)
    return found


def recurring_in(runs: Collection[Operation]) -> Recurring | None:
    """The drift that these runs undid three times or more."""
    times = Counter(found for operation in runs for found in set(operation.undone))
    again = [(found, count) for found, count in times.most_common() if count >= _RECURRING]
    return Recurring([found for found, _ in again], again[0][1]) if again else None
