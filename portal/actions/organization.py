"""Organizations come into being with an admin."""

from __future__ import annotations

from django.db import transaction
from django.utils.crypto import get_random_string
from django.utils.text import slugify

from portal.models import Membership, MembershipState, Organization, Role, User

_SLUG_LENGTH = 40
_SUFFIX_LENGTH = 6


def create_organization(name: str, owner: User) -> Membership:
    """A new organization with `owner` as its active admin; its slug comes from the name."""
    with transaction.atomic():
        organization = Organization.objects.create(name=name[:60], slug=_free_slug(name))
        return Membership.objects.create(
            organization=organization, user=owner, role=Role.ADMIN, state=MembershipState.ACTIVE
        )


def _free_slug(name: str) -> str:
    stem = slugify(name)[: _SLUG_LENGTH - _SUFFIX_LENGTH - 1].strip("-") or "organization"
    if not Organization.objects.filter(slug=stem).exists():
        return stem
    return f"{stem}-{get_random_string(_SUFFIX_LENGTH, 'abcdefghijkmnpqrstuvwxyz23456789')}"
