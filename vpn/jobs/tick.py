"""Leases for scheduled jobs, so that two schedulers run each only once."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from vpn.models import Tick

# The schedule is not exact, so a tick may come slightly early.
_TOLERANCE = 0.6


def begin_tick(name: str, seconds: float) -> bool:
    """Return True if this job did not begin elsewhere less than `seconds` ago, by the database's clock."""
    before = Now() - timedelta(seconds=seconds * _TOLERANCE)
    if Tick.objects.filter(name=name, last_at__lt=before).update(last_at=Now()):
        return True
    _, created = Tick.objects.get_or_create(name=name, defaults={"last_at": Now()})
    return created
