"""The refusal of what would go beyond a quota.

The organization's row is the lock of all its quotas: an action that adds something holds it until the transaction ends.
It is taken before the locks of members, sites and instances, so that no deadlock arises.
"""

from __future__ import annotations

from uuid import UUID

from portal.exceptions import QuotaReached
from portal.models import Organization, Quota
from portal.quotas import quota_use


def lock_organization(pk: UUID) -> Organization:
    """The organization as it is now, held until the transaction ends.

    It keeps its key: who saves an instance twice in a transaction looks for its organization's key at the end, and
    would wait in a circle.
    """
    return Organization.objects.select_for_update(no_key=True).get(pk=pk)


def require_room(organization_id: UUID, quota: Quota, more: int = 1, *, field: str = "") -> None:
    """Raise QuotaReached where the organization may not have `more` of something; `field` is the input at fault.

    Must run in the transaction that adds it. What adds nothing is never refused, whatever there is already.
    """
    if more <= 0:
        return
    use = quota_use(lock_organization(organization_id), quota)
    if use.used + more > use.limit:
        raise QuotaReached(use.refusal(more), field=field, code=use.code, next_step=use.next_step)
