"""Leases of scheduled work, so that two schedulers do it once."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from vpn.models import Tick

# A schedule is not exact: a tick may come a little early.
_TOLERANCE = 0.6


def begin_tick(name: str, seconds: float) -> bool:
    """May this piece of work begin, or did it begin less than `seconds` ago elsewhere? By the database's clock."""
    before = Now() - timedelta(seconds=seconds * _TOLERANCE)
    if Tick.objects.filter(name=name, last_at__lt=before).update(last_at=Now()):
        return True
    _, created = Tick.objects.get_or_create(name=name, defaults={"last_at": Now()})
    return created
