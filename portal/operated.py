"""The instances of operators: members who manage the peers of named instances, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from portal.exceptions import InvalidInput
from portal.models import Membership, Organization, Role
from portal.signals import instances_asked


def instances_of_organization(organization_id: UUID) -> dict[UUID, str]:
    """The names of the organization's instances by their ids, ordered by name."""
    answers: list[tuple[Any, Any]] = instances_asked.send(sender=Organization, organization_id=organization_id)
    return {pk: name for _, names in answers for pk, name in (names or {}).items()}


def chosen_instances(organization_id: UUID, role: str, wanted: Iterable[UUID]) -> list[str] | None:
    """The value of `Membership.instance_ids` for this role.

    Raises InvalidInput for an operator without instances, for one that is not there, and for another role with some.
    """
    asked = set(wanted)
    if role != Role.OPERATOR:
        if asked:
            raise InvalidInput.in_field("instances", _("Only operators have instances. Choose none for this role."))
        return None
    if not asked:
        raise InvalidInput.in_field("instances", _("Choose at least one instance for an operator."))
    if asked - instances_of_organization(organization_id).keys():
        raise InvalidInput.in_field("instances", _("Choose instances of this organization."))
    return sorted(str(pk) for pk in asked)


def instance_names(membership: Membership) -> list[str]:
    """The names of the instances that an operator manages, by name."""
    if not membership.is_operator:
        return []
    known = instances_of_organization(membership.organization_id)
    return [name for pk, name in known.items() if pk in membership.operated]
