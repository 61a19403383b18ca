"""Enforcement of quotas.

The organization's row is the lock of all its quotas. An action that adds something holds it until its transaction ends.
It is taken before the locks of members, sites and instances, to avoid deadlocks.
"""

from __future__ import annotations

from uuid import UUID

from portal.exceptions import QuotaReached
from portal.models import Organization, Quota
from portal.quotas import quota_use


def lock_organization(pk: UUID) -> Organization:
    """Return the organization's current row, locked until the transaction ends.

    The lock allows others to check foreign keys (FOR NO KEY UPDATE). Otherwise, a transaction that saves an instance
    twice checks its organization's key at the end, and could deadlock.
    """
    return Organization.objects.select_for_update(no_key=True).get(pk=pk)


def require_room(organization_id: UUID, quota: Quota, more: int = 1, *, field: str = "") -> None:
    """Raise QuotaReached if the organization may not add `more`; `field` is the input at fault.

    Must run in the transaction that adds it. If nothing is added, it never refuses, even above a lowered limit.
    """
    if more <= 0:
        return
    use = quota_use(lock_organization(organization_id), quota)
    if use.used + more > use.limit:
        raise QuotaReached(use.refusal(more), field=field, code=use.code, next_step=use.next_step)
