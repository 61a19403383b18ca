"""Claims: only one worker at a time works on an instance. The claim of a dead worker expires."""

from __future__ import annotations

import uuid
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from vpn.models import Instance

# Longer than any job may run (settings.JOB_TIMEOUT), so that a lease never ends under a worker that is alive.
LEASE_SECONDS = 45


def claim(instance_id: UUID) -> UUID | None:
    """Claim an instance and return the token that guards later writes, or None if another worker has it.

    The expiry goes by the database's clock, so that workers on other machines agree on it.
    """
    token = uuid.uuid4()
    claimed = (
        Instance.objects.unclaimed()
        .filter(pk=instance_id)
        .update(lease_token=token, lease_expires_at=Now() + timedelta(seconds=LEASE_SECONDS))
    )
    return token if claimed else None


def renew(instance_id: UUID, token: UUID) -> bool:
    """Extend a claim; False if it was lost."""
    held = Instance.objects.filter(pk=instance_id, lease_token=token)
    return bool(held.update(lease_expires_at=Now() + timedelta(seconds=LEASE_SECONDS)))


def release(instance_id: UUID, token: UUID) -> None:
    """Release a claim."""
    Instance.objects.filter(pk=instance_id, lease_token=token).update(lease_token=None, lease_expires_at=None)
