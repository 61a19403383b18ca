"""API tokens of a member: create, revoke, delete expired ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.actions.quota import require_room
from portal.exceptions import InvalidInput
from portal.models import ApiToken, Membership, Principal, Quota
from portal.models.api_token import DEFAULT_LIFE, Ceiling
from portal.validators import clean_token_name

# How long expired tokens are still shown to their owner, and how many. They do not count for the quota.
SHOWN_AFTER_END: Final = timedelta(days=30)
MOST_SHOWN_AFTER_END: Final = 100
_AT_ONCE: Final = 500


def default_end() -> datetime:
    """The default expiry of a token."""
    return timezone.now() + DEFAULT_LIFE


def create_token(
    membership: Membership,
    *,
    by: Principal,
    name: str = "",
    expires_at: datetime | None = None,
    ceiling: Ceiling | None = None,
    instances: Iterable[UUID] | None = None,
) -> tuple[ApiToken, str]:
    """Create a token of an active member and return it with its text, which cannot be read again.

    With `expires_at` None it does not expire. Without `ceiling` it gets the highest of the member's role. `instances`
    are the only ones that it may be used for, as `vpn.access.find_token_instances` returns them; None for all.

    Raises InvalidInput or QuotaReached.
    """
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidInput.in_field("expires_at", _("Choose a time in the future."))
    highest = Ceiling.highest_of(membership)
    if ceiling == Ceiling.MANAGE and highest == Ceiling.READ:
        raise InvalidInput.in_field("ceiling", _("Auditors only read, and so do their tokens."))
    if ceiling == Ceiling.SCIM and not membership.is_admin:
        raise InvalidInput.in_field("ceiling", _("Only admins let a directory provision people."))
    if ceiling == Ceiling.SCIM and instances is not None:
        raise InvalidInput.in_field("instances", _("People are of the whole organization: choose no instances."))
    label = clean_token_name(name)
    with transaction.atomic():
        require_room(membership.organization_id, Quota.API_TOKENS)
        _forget_expired(membership)
        made, text = ApiToken.issue(
            membership, name=label, expires_at=expires_at, ceiling=ceiling or highest, instances=instances
        )
        acted(by, "created", made)
    return made, text


def _forget_expired(membership: Membership) -> None:
    now = timezone.now()
    expired = ApiToken.objects.filter(membership=membership, expires_at__lte=now).order_by("-expires_at", "pk")
    expired.filter(expires_at__lt=now - SHOWN_AFTER_END).delete()
    too_many = expired.values_list("pk", flat=True)[MOST_SHOWN_AFTER_END : MOST_SHOWN_AFTER_END + _AT_ONCE]
    ApiToken.objects.filter(pk__in=list(too_many)).delete()


def revoke_token(token: ApiToken, *, by: Principal) -> None:
    """End a token at once."""
    with transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).delete()
        acted(by, "deleted", token)
