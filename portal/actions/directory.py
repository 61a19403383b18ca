"""What a directory calls people and groups by SCIM: unique in the organization, and apart from accounts."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import QuerySet

from portal.exceptions import Conflict, InvalidInput
from portal.models import Group, Membership
from portal.models.membership import DIRECTORY_LENGTH, MembershipQuerySet


class InDirectory(NamedTuple):
    """A person's names in the directory; "" for none. Without a `user_name` they are known by their address."""

    user_name: str = ""
    external_id: str = ""


def names_in_directory(member: Membership, wanted: InDirectory) -> dict[str, str | None]:
    """Return the columns of a member, new or present. The organization's row must be locked already.

    Raises InvalidInput, or Conflict if another member has one of the names.
    """
    user_name = _clean("user_name", wanted.user_name)
    others: MembershipQuerySet = Membership.objects.filter(organization=member.organization_id).exclude(pk=member.pk)
    if others.known_as(user_name or member.user.email).exists():
        raise Conflict("Another person has this user name.", field="user_name", code="user-name-taken")
    external_id = free_external_id(others, wanted.external_id)
    is_address = user_name.lower() == member.user.email.lower()
    return {"directory_name": None if is_address else user_name or None, "external_id": external_id}


def free_external_id(others: QuerySet[Membership] | QuerySet[Group], wanted: str) -> str | None:
    """Return the external id as its column has it. Raises InvalidInput, or Conflict if one of the others has it."""
    external_id = _clean("external_id", wanted)
    if external_id and others.filter(external_id=external_id).exists():
        raise Conflict("Another one has this external id.", field="external_id", code="external-id-taken")
    return external_id or None


def _clean(field: str, text: str) -> str:
    if not text.isprintable() or len(text) > DIRECTORY_LENGTH:
        message = f"Enter one line of at most {DIRECTORY_LENGTH} characters."
        raise InvalidInput.in_field(field, message)
    return text.strip()
