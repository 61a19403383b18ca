"""Use of an organization's quotas, and the texts for it. The settings name the functions that count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.figures import grouped
from portal.models import ApiToken, Group, Membership, Organization, Quota
from portal.models.quota import IN_USE

Counter = Callable[[UUID], int]
_ASK_STAFF: Final = gettext_lazy("Ask the portal's staff for a higher limit, or remove unused ones.")
# With a limit of zero, neither waiting nor removing helps.
_NONE_ALLOWED: Final = gettext_lazy("Ask the portal's staff for a higher limit.")
_NEXT_STEPS: Final = {
    Quota.PROVISIONING: gettext_lazy(
        "Wait for one to finish, then try again, or ask the portal's staff for a higher limit."
    ),
    Quota.API_CALLS: gettext_lazy("Wait until the next minute, or ask the portal's staff for a higher limit."),
}


@dataclass(frozen=True)
class QuotaUse:
    """An organization's use of one quota."""

    quota: Quota
    used: int
    limit: int

    @property
    def is_reached(self) -> bool:
        """True if the quota is used up."""
        return self.used >= self.limit

    @property
    def code(self) -> str:
        """The error code of the refusal, such as `quota-dns-records`."""
        return f"quota-{self.quota.value.replace('_', '-')}"

    @property
    def next_step(self) -> str:
        """The advice if the quota is reached."""
        return str(_NEXT_STEPS.get(self.quota, _ASK_STAFF) if self.limit else _NONE_ALLOWED)

    def refusal(self, more: int = 1) -> str:
        """A sentence with the use and the limit."""
        words = (
            _("Quota reached: %(used)s of %(limit)s %(in_use)s, and this adds %(more)s.")
            if more > 1
            else _("Quota reached: %(used)s of %(limit)s %(in_use)s.")
        )
        values = {"used": grouped(self.used), "limit": grouped(self.limit), "in_use": IN_USE[self.quota]}
        return words % {**values, "more": grouped(more)}


def quota_use(organization: Organization, quota: Quota) -> QuotaUse:
    """The organization's use of one quota."""
    return QuotaUse(quota, _counters()[quota](organization.pk), organization.limit(quota))


def quota_uses(organization: Organization) -> list[QuotaUse]:
    """The organization's use of all quotas, in the order of Quota."""
    return [quota_use(organization, quota) for quota in Quota]


@cache
def _counters() -> Mapping[Quota, Counter]:
    return {quota: count for name in settings.QUOTA_COUNTERS for quota, count in import_string(name).items()}


def _members(organization_id: UUID) -> int:
    # Includes deactivated members, because their devices and accounts still exist.
    return Membership.objects.filter(organization=organization_id).count()


def _groups(organization_id: UUID) -> int:
    return Group.objects.filter(organization=organization_id).count()


def _api_tokens(organization_id: UUID) -> int:
    lasting = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiToken.objects.filter(lasting, membership__organization=organization_id).count()


COUNTERS: Final[dict[Quota, Counter]] = {
    Quota.MEMBERS: _members,
    Quota.GROUPS: _groups,
    Quota.API_TOKENS: _api_tokens,
}
