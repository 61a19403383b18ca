"""Operators after one of their instances was deleted."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from portal.actions.acting import acted
from portal.actions.quota import lock_organization
from portal.models import Membership, Principal, Role


def forget_instance(instance_id: UUID, organization_id: UUID, *, by: Principal) -> None:
    """Take a deleted instance out of the lists of all operators. Runs after the commit that deleted it."""
    with transaction.atomic():
        lock_organization(organization_id)
        for member in Membership.objects.filter(organization=organization_id, role=Role.OPERATOR):
            left = [one for one in member.instance_ids or () if one != str(instance_id)]
            if left != member.instance_ids:
                member.instance_ids = left
                member.save(update_fields=["instance_ids"])
                acted(by, "instance forgotten", member)
